import json
from dataclasses import replace

import numpy as np
import pytest

from feature_repo.errors import InputError, SourceDataError
from tests.judged_runs import write_metrics
from training.atomic import write_parquet
from training.evaluation.bootstrap import resample
from training.evaluation.ceiling import Reachable, share_of_reachable
from training.evaluation.compare import compare_runs
from training.evaluation.decision_bootstrap import further_draws
from training.evaluation.decisions import FURTHER, choose_threshold, further_metrics
from training.evaluation.judged_run import JudgedRun
from training.evaluation.metrics import METRICS, probability_metrics
from training.pipelines.compare import compare_folders
from training.pipelines.seeds import fit_more_seeds, over_seeds
from training.pipelines.whole_training import training_digest


def jittered(predictions, seed):
    """The run of another seed: `sharp` and `ensemble` differ a little, `blunt` and `constant` do not."""
    random = np.random.default_rng(seed)
    changed = {
        name: np.clip(predictions.probability[name] + random.normal(scale=0.03, size=len(predictions.label)), 0, 1)
        for name in ("sharp", "ensemble")
    }
    return replace(predictions, probability={**predictions.probability, **changed}, slices={})


def judged(runs):
    return {name: JudgedRun(run) for name, run in runs.items()}


@pytest.fixture(scope="module")
def runs(predictions):
    return {f"run {seed}": jittered(predictions, seed) for seed in (1, 2, 3)}


@pytest.fixture(scope="module")
def found(runs):
    return compare_runs(judged(runs), draws=60, seed=5)


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


def test_what_is_asked_of_the_ensemble_is_seen_from_its_side(found):
    (asked,) = found.ensemble
    assert (asked.member, asked.best) == ("sharp", True)
    pair = next(pair for pair in found.pairs if pair.first == "sharp")
    turned, told = asked.differences["roc_auc"], pair.differences["roc_auc"]
    assert (turned.estimate, turned.interval.low, turned.interval.high) == (
        -told.estimate,
        -told.interval.high,
        -told.interval.low,
    )
    assert found.to_json()["ensemble"][0]["requirements"][0]["answer"] == asked.requirements[0].answer


def test_whoever_the_ensemble_is_compared_with_is_asked_about(runs):
    found = compare_runs(judged(runs), against="blunt", metrics=("roc_auc", "ece"), draws=60, seed=5)
    assert [(asked.member, asked.best) for asked in found.ensemble] == [("blunt", False)]
    auc, _ = found.ensemble[0].requirements
    assert (auc.answer, auc.required) == ("yes", False)
    pair = next(pair for pair in found.pairs if pair.first == "ensemble")
    assert found.ensemble[0].differences == pair.differences


def test_one_run_has_no_spread_and_says_so_in_json(predictions):
    found = compare_runs({"only": JudgedRun(predictions)}, against="sharp", draws=20)
    record = found.to_json()
    assert record["spreads"]["sharp"]["roc_auc"]["deviation"] is None
    assert {pair["second"] for pair in record["pairs"]} == {"sharp"}
    json.dumps(record, allow_nan=False)


def test_a_member_of_some_runs_only_is_compared_in_those(runs):
    (first, one), *others = runs.items()
    without = {name: replace(run, probability={k: v for k, v in run.probability.items() if k != "blunt"})
               for name, run in others}  # fmt: skip
    found = compare_runs(judged({first: one, **without}), draws=20)
    assert found.spreads["blunt"]["brier"].runs == 1
    assert np.isnan(next(pair for pair in found.pairs if pair.first == "blunt").deviations["brier"])


def test_what_cannot_be_compared_is_told(runs, predictions):
    with pytest.raises(InputError, match="no run to compare"):
        compare_runs({})
    with pytest.raises(InputError, match="judged on different anchors"):
        compare_runs(judged({**runs, "short": predictions.take(np.arange(100))}))
    with pytest.raises(InputError, match="'lstm' is in none of the runs; expected one of sharp, blunt, constant"):
        compare_runs(judged(runs), against="lstm", draws=5)


def test_decisions_are_at_each_runs_own_threshold_and_paired_in_every_draw(runs):
    cuts = dict(zip(runs, (0.2, 0.3, 0.4), strict=True))
    told = {name: JudgedRun(run, dict.fromkeys(run.members, cuts[name])) for name, run in runs.items()}
    found = compare_runs(told, metrics=("f1", "gain_at_20"), draws=60, seed=5)
    values = [further_metrics(run.label, run.probability["sharp"], cuts[name])["f1"] for name, run in runs.items()]
    assert len(set(values)) == 3
    assert found.spreads["sharp"]["f1"].mean == pytest.approx(np.mean(values))
    assert found.spreads["sharp"]["f1"].deviation == pytest.approx(np.std(values, ddof=1))
    pair = next(pair for pair in found.pairs if pair.first == "blunt")
    assert set(pair.differences) == {"f1", "gain_at_20"}
    tables = []
    for name, run in runs.items():
        given = dict.fromkeys(run.members, cuts[name])
        drawn = further_draws(run.label, run.probability, run.customers(), given, draws=60, seed=5)
        tables.append(drawn["blunt"][:, FURTHER.index("f1")] - drawn["ensemble"][:, FURTHER.index("f1")])
    low, high = np.quantile(np.mean(tables, axis=0), [0.025, 0.975])
    interval = pair.differences["f1"].interval
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert pair.differences["f1"].verdict == "behind"


def test_one_run_without_a_threshold_leaves_no_mean_over_the_others(runs):
    (first, one), *others = runs.items()
    told = {first: JudgedRun(one, dict.fromkeys(one.members, 0.3)), **judged(dict(others))}
    record = compare_runs(told, metrics=("recall", "lift_at_5"), draws=20).to_json()
    assert record["spreads"]["sharp"]["recall"]["mean"] is None
    assert record["spreads"]["sharp"]["lift_at_5"]["mean"] > 1
    blunt = next(pair for pair in record["pairs"] if pair["first"] == "blunt")
    assert blunt["recall"] == {"difference": None, "ci": [None, None], "deviation": None, "verdict": "inside the noise"}
    json.dumps(record, allow_nan=False)


def test_the_way_to_the_ceiling_is_compared_where_there_is_one(runs, found):
    assert "reached" not in found.spreads["sharp"]
    random = np.random.default_rng(1)
    one = next(iter(runs.values()))
    best = np.clip(np.where(one.label == 1, 0.6, 0.2) + random.normal(scale=0.1, size=len(one.label)), 0.01, 0.99)
    ends = Reachable(0.3, best)
    told = {name: JudgedRun(run, {}, ends) for name, run in runs.items()}
    found = compare_runs(told, metrics=("reached",), draws=200, seed=5)
    values = [share_of_reachable(run.label, run.probability["sharp"], 0.3, best) for run in runs.values()]
    assert found.spreads["sharp"]["reached"].mean == pytest.approx(np.mean(values))
    pair = next(pair for pair in found.pairs if pair.first == "blunt").differences["reached"]
    assert pair.interval.low < pair.estimate < pair.interval.high < 0
    assert pair.verdict == "behind"


def test_what_is_neither_better_high_nor_low_is_called_neither(runs):
    one = next(iter(runs.values()))
    told = {"only": JudgedRun(one, {"sharp": 0.2, "blunt": 0.2, "constant": 0.1, "ensemble": 0.5})}
    found = compare_runs(told, metrics=("selection_rate",), draws=20)
    assert {pair.differences["selection_rate"].verdict for pair in found.pairs} == {"higher"}


def write_run(folder, predictions, seed):
    folder.mkdir(parents=True)
    write_parquet(folder / "test_predictions.parquet", predictions.to_table())
    write_metrics(folder, seed=seed)
    return folder


def kept_of(predictions, seed):
    """What training with another seed leaves: scores without labels, and predictions of the validation period."""
    scores = jittered(predictions, seed).to_table().drop_columns(["label"])
    validation = jittered(predictions, 100 + seed).to_table()
    return {"test_scores.parquet": scores, "validation_predictions.parquet": validation}


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
    folders[0] = folders[0].rename(tmp_path / "ensemble")  # a run of this name is no ensemble of the other one
    (found,) = compare_folders(folders, by="run")
    assert found.pairs[0].second == "ensemble"
    assert found.ensemble == ()
    with pytest.raises(InputError, match="Member 'lstm' is not in"):
        compare_folders(folders, by="run", member="lstm")


def test_a_folder_that_was_not_evaluated_is_told(tmp_path):
    with pytest.raises(SourceDataError, match="Run it first"):
        compare_folders([tmp_path])


def test_further_seeds_of_a_run_are_repetitions_of_it(tmp_path, predictions):
    out = write_run(tmp_path / "run", predictions, 7)
    digest = training_digest(out)
    fit_more_seeds(out, 7, 3, digest, lambda seed: kept_of(predictions, seed))
    own = JudgedRun(predictions, dict.fromkeys(predictions.members, 0.3))
    assert over_seeds(out, own, 7, "another training") == {}
    found = over_seeds(out, own, 7, digest)
    assert found["seeds"] == [7, 8, 9]
    assert set(found["members"]["sharp"]) == {*METRICS, *FURTHER}
    assert found["members"]["sharp"]["roc_auc"]["deviation"] > 0
    (together,) = compare_folders([out])
    assert together.runs == ("run, seed 7", "run, seed 8", "run, seed 9")
    assert together.spreads["sharp"]["roc_auc"].mean == pytest.approx(found["members"]["sharp"]["roc_auc"]["mean"])


def test_seeds_of_other_anchors_are_refused(tmp_path, predictions):
    out = write_run(tmp_path / "run", predictions, 7)
    few = predictions.take(np.arange(50)).to_table().drop_columns(["label"])
    fit_more_seeds(out, 7, 2, "digest", lambda seed: {"test_scores.parquet": few})
    with pytest.raises(SourceDataError, match="do not fit the run's"):
        over_seeds(out, JudgedRun(predictions), 7, "digest")


def test_every_seed_decides_at_a_threshold_of_its_own_validation(tmp_path, predictions):
    out = write_run(tmp_path / "run", predictions, 7)
    own = dict.fromkeys(predictions.members, 0.3)
    record = {who: {"threshold": 0.3} for who in own}
    digest = write_metrics(out, seed=7, further=record)
    fit_more_seeds(out, 7, 3, digest, lambda seed: kept_of(predictions, seed))
    recorded = over_seeds(out, JudgedRun(predictions, own), 7, digest)["members"]["sharp"]["f1"]
    expected = [further_metrics(predictions.label, predictions.probability["sharp"], 0.3)["f1"]]
    for seed in (8, 9):
        test, validation = jittered(predictions, seed), jittered(predictions, 100 + seed)
        cut = choose_threshold(validation.label, validation.probability["sharp"])
        expected.append(further_metrics(test.label, test.probability["sharp"], cut)["f1"])
    assert len(set(expected)) == 3
    (found,) = compare_folders([out], metrics=["f1"])
    for spread in (found.spreads["sharp"]["f1"].mean, recorded["mean"]):
        assert spread == pytest.approx(np.mean(expected))


def test_seeds_of_an_earlier_version_say_what_to_do(tmp_path, predictions):
    out = write_run(tmp_path / "run", predictions, 7)
    digest = write_metrics(out, seed=7, further={who: {"threshold": 0.3} for who in predictions.members})
    kept = ("test_scores.parquet",)
    fit_more_seeds(out, 7, 2, digest, lambda seed: {name: kept_of(predictions, seed)[name] for name in kept})
    over_seeds(out, JudgedRun(predictions), 7, digest)
    with pytest.raises(SourceDataError, match=r"Seed 8 .* for accuracy; .* Run `intent train --seeds 2` and"):
        compare_folders([out], metrics=["accuracy"])
    with pytest.raises(SourceDataError, match=r"has no simulation/ceiling\.parquet; expected a simulated shop"):
        compare_folders([out], metrics=["reached"])
    assert compare_folders([out], metrics=["gain_at_10"])[0].spreads["sharp"]["gain_at_10"].runs == 2
    everything = compare_folders([out])[0].to_json()
    assert everything["spreads"]["sharp"]["f1"]["mean"] is None
    assert everything["spreads"]["sharp"]["resolution"]["mean"] > 0


def test_runs_are_compared_by_their_own_thresholds(tmp_path, runs):
    one, two, _ = runs.values()
    folders = [write_run(tmp_path / "plain", one, 1), write_run(tmp_path / "tuned", two, 1)]
    cuts = {"plain": 0.2, "tuned": 0.5}
    for folder in folders:
        further = {who: {"threshold": cuts[folder.name]} for who in one.members}
        write_metrics(folder, seed=1, further=further)
    (found,) = compare_folders(folders, by="run", member="blunt", metrics=["selection_rate"])
    for folder, run in zip(folders, (one, two), strict=True):
        share = (run.probability["blunt"] >= cuts[folder.name]).mean()
        assert found.spreads[folder.name]["selection_rate"].mean == pytest.approx(share)
    assert found.pairs[0].differences["selection_rate"].verdict == "lower"
