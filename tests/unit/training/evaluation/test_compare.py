import json
from dataclasses import replace

import numpy as np
import pytest

from feature_repo.errors import InputError, SourceDataError
from training.atomic import write_json, write_parquet
from training.evaluation.bootstrap import resample
from training.evaluation.compare import compare_runs
from training.evaluation.metrics import METRICS, probability_metrics
from training.pipelines.compare import compare_folders
from training.pipelines.seeds import fit_more_seeds, over_seeds


def jittered(predictions, seed):
    """The run of another seed: `sharp` and `ensemble` differ a little, `blunt` and `constant` do not."""
    random = np.random.default_rng(seed)
    changed = {
        name: np.clip(predictions.probability[name] + random.normal(scale=0.03, size=len(predictions.label)), 0, 1)
        for name in ("sharp", "ensemble")
    }
    return replace(predictions, probability={**predictions.probability, **changed}, slices={})


@pytest.fixture(scope="module")
def runs(predictions):
    return {f"run {seed}": jittered(predictions, seed) for seed in (1, 2, 3)}


@pytest.fixture(scope="module")
def found(runs):
    return compare_runs(runs, draws=60, seed=5)


def test_a_figure_is_the_mean_over_the_runs_with_its_spread(found, runs):
    for who in ("sharp", "blunt"):
        values = [probability_metrics(run.label, run.probability[who])["roc_auc"] for run in runs.values()]
        spread = found.spreads[who]["roc_auc"]
        assert spread.mean == pytest.approx(np.mean(values))
        assert spread.deviation == pytest.approx(np.std(values, ddof=1))
        assert (spread.low, spread.high, spread.runs) == (min(values), max(values), 3)
    assert found.spreads["blunt"]["log_loss"].deviation == pytest.approx(0)
    assert found.spreads["sharp"]["log_loss"].deviation > 0


def test_a_difference_is_paired_in_every_draw_and_averaged_over_the_runs(found, runs):
    pair = next(pair for pair in found.pairs if pair.first == "blunt")
    assert pair.second == "ensemble"
    tables = []
    for run in runs.values():
        drawn = resample(run.label, run.probability, run.customers(), draws=60, seed=5)
        tables.append(drawn.values("blunt", "log_loss") - drawn.values("ensemble", "log_loss"))
    low, high = np.quantile(np.mean(tables, axis=0), [0.025, 0.975])
    interval = pair.differences["log_loss"].interval
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert pair.differences["log_loss"].verdict == "behind"
    assert pair.deviations["log_loss"] > 0


def test_one_run_has_no_spread_and_says_so_in_json(predictions):
    found = compare_runs({"only": predictions}, against="sharp", draws=20)
    record = found.to_json()
    assert record["spreads"]["sharp"]["roc_auc"]["deviation"] is None
    assert {pair["second"] for pair in record["pairs"]} == {"sharp"}
    json.dumps(record, allow_nan=False)


def test_a_member_of_some_runs_only_is_compared_in_those(runs):
    (first, one), *others = runs.items()
    without = {name: replace(run, probability={k: v for k, v in run.probability.items() if k != "blunt"})
               for name, run in others}  # fmt: skip
    found = compare_runs({first: one, **without}, draws=20)
    assert found.spreads["blunt"]["brier"].runs == 1
    assert np.isnan(next(pair for pair in found.pairs if pair.first == "blunt").deviations["brier"])


def test_what_cannot_be_compared_is_told(runs, predictions):
    with pytest.raises(InputError, match="no run to compare"):
        compare_runs({})
    with pytest.raises(InputError, match="judged on different anchors"):
        compare_runs({**runs, "short": predictions.take(np.arange(100))})
    with pytest.raises(InputError, match="'lstm' is in none of the runs; expected one of sharp, blunt, constant"):
        compare_runs(runs, against="lstm", draws=5)


def write_run(folder, predictions, seed):
    folder.mkdir(parents=True)
    write_parquet(folder / "test_predictions.parquet", predictions.to_table())
    write_json(folder / "metrics.json", {"seed": seed})
    return folder


def test_folders_of_other_tests_are_compared_apart(tmp_path, runs, predictions):
    one, two, three = runs.values()
    folders = [write_run(tmp_path / "a", one, 1), write_run(tmp_path / "b", two, 2)]
    folders.append(write_run(tmp_path / "c", three.take(np.arange(900)), 3))
    found = compare_folders(folders)
    assert [one.anchors for one in found] == [len(predictions.label), 900]
    assert found[0].runs == ("a, seed 1", "b, seed 2")


def test_runs_of_one_seed_are_no_repetitions_but_can_be_compared_by_run(tmp_path, runs):
    one, two, _ = runs.values()
    folders = [write_run(tmp_path / "plain", one, 1), write_run(tmp_path / "tuned", two, 1)]
    with pytest.raises(InputError, match=r"have the same seed 1; .* --by run"):
        compare_folders(folders)
    (found,) = compare_folders(folders, by="run")
    assert [(pair.first, pair.second) for pair in found.pairs] == [("tuned", "plain")]
    assert set(found.spreads) == {"plain", "tuned"}
    with pytest.raises(InputError, match="Member 'lstm' is not in"):
        compare_folders(folders, by="run", member="lstm")


def test_a_folder_that_was_not_evaluated_is_told(tmp_path):
    with pytest.raises(SourceDataError, match="Run it first"):
        compare_folders([tmp_path])


def test_further_seeds_of_a_run_are_repetitions_of_it(tmp_path, predictions):
    out = write_run(tmp_path / "run", predictions, 7)

    def scores(seed):
        table = jittered(predictions, seed).to_table()
        return table.drop_columns(["label"])

    fit_more_seeds(out, 7, 3, "digest", scores)
    assert over_seeds(out, predictions, 7, "another training") == {}
    found = over_seeds(out, predictions, 7, "digest")
    assert found["seeds"] == [7, 8, 9]
    assert set(found["members"]["sharp"]) == set(METRICS)
    assert found["members"]["sharp"]["roc_auc"]["deviation"] > 0
    (together,) = compare_folders([out])
    assert together.runs == ("run, seed 7", "run, seed 8", "run, seed 9")
    assert together.spreads["sharp"]["roc_auc"].mean == pytest.approx(found["members"]["sharp"]["roc_auc"]["mean"])


def test_seeds_of_other_anchors_are_refused(tmp_path, predictions):
    out = write_run(tmp_path / "run", predictions, 7)
    few = predictions.take(np.arange(50)).to_table().drop_columns(["label"])
    fit_more_seeds(out, 7, 2, "digest", lambda seed: few)
    with pytest.raises(SourceDataError, match="do not fit the run's"):
        over_seeds(out, predictions, 7, "digest")
