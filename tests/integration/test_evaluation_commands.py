"""`intent evaluate`, `intent compare` and `intent tune` on the sample's run: what they leave, and what they refuse."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from training.evaluation.decisions import FURTHER, choose_threshold

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def metrics(sample_run):
    return json.loads((sample_run.out / "metrics.json").read_text())


def test_thresholds_are_those_of_the_validation_period(sample_run, metrics):
    validation = pq.read_table(sample_run.out / "validation_predictions.parquet")
    assert set(metrics["further"]) == set(metrics["test"])
    assert validation.num_rows == metrics["splits"]["validation"]["anchors"]
    label = validation["label"].to_numpy()
    for member, figures in metrics["further"].items():
        assert set(FURTHER) < set(figures)
        expected = choose_threshold(label, validation[f"p_{member}"].to_numpy())
        assert figures["threshold"] == pytest.approx(expected), member


def test_groups_pages_and_curves_are_there(sample_run, metrics):
    assert [table["column"] for table in metrics["fairness"]] == ["age group"]
    assert sum(group["anchors"] for group in metrics["fairness"][0]["groups"]) == metrics["splits"]["test"]["anchors"]
    assert metrics["ceiling"] == metrics["seeds"] == {}
    assert "## Decisions" in (sample_run.out / "model_card.md").read_text()
    page = (sample_run.out / "report.html").read_text()
    for part in ("Where the Brier score comes from", "By age group", "intent evaluate --robustness"):
        assert part in page
    assert {path.name for path in (sample_run.out / "tensorboard").iterdir()} == set(metrics["test"])


def test_what_is_required_of_the_ensemble_is_told_everywhere(sample_run, metrics, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(sample_run.out, out)
    asked = [one for pair in metrics["paired"].values() for one in pair["requirements"]]
    met = all(one["answer"] == "yes" for one in asked if one["required"])
    done = sample_run.run(
        ["intent", "evaluate", "--require-targets", "--out", str(out)], expect=0 if met else 2
    )  # a sample is held to no targets
    for one in asked:
        assert f"    {one['text']}\n" in done.stdout
        assert f"* {one['text']}\n" in (out / "model_card.md").read_text()
        assert f'<th scope="row">{one["question"]}?</th>' in (out / "report.html").read_text()
    best = metrics["paired"]["ensemble_minus_best_member"]
    if best["same"]:
        assert f"the ensemble is {best['member']} itself" in done.stdout
    else:
        assert (best["requirements"][0]["answer"] == "yes") == (best["ci"][0] >= -0.003)


def test_the_log_as_it_is_gives_the_runs_own_figures(sample_run, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(sample_run.out, out)
    done = sample_run.run(["intent", "evaluate", "--robustness", "--json", "--out", str(out)])
    found = json.loads(done.stdout)["robustness"]
    assert found["variants"][0]["mean_move"] < 1e-6
    assert [row["changed"] > 0 for row in found["variants"]] == [False, True, True, True, True]
    assert all(row["mean_move"] > 0 for row in found["variants"][1:4])
    assert json.loads((out / "metrics.json").read_text())["robustness"] == found
    assert "10 % of events missing" in (out / "report.html").read_text()


def test_runs_are_compared_by_what_they_decide(sample_run, metrics):
    command = ["intent", "compare", str(sample_run.out), "--metric", "f1", "--metric", "resolution"]
    (found,) = json.loads(sample_run.run([*command, "--json"]).stdout)
    for member, figures in metrics["further"].items():
        for name in ("f1", "resolution"):
            assert found["spreads"][member][name]["mean"] == pytest.approx(figures[name]), (member, name)
    assert set(found["pairs"][0]) == {"first", "second", "f1", "resolution"}
    assert "reached" not in found["spreads"]["ensemble"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["evaluate", "--metric", "auc"], "Metric 'auc' is not known here; expected one of roc_auc"),
        (["evaluate", "--member", "perceptron"], "Member 'perceptron' is not known here; expected one of"),
        (["compare", "artifacts/demo", "--metric", "f2"], "Metric 'f2' is not compared; expected one of roc_auc"),
        (["compare", "artifacts/demo", "--against", "perceptron"], "Member 'perceptron' is in none of the runs"),
        (["tune", "perceptron"], "Member 'perceptron' is not known; expected one of bg_nbd, boosted_trees"),
        (["tune"], "expected `intent tune MEMBER` or `intent tune --auto`"),
        (["tune", "recency", "--sampler", "luck"], "expected one of grid, one_at_a_time, random, tpe"),
        (["tune", "recency", "--only", "steps=20"], "Parameters steps of member 'recency' cannot be searched"),
        (["tune", "recency", "--only", "c=1,x"], "Values 'x' of parameter 'c' cannot be tried; expected each to be a"),
        (["tune", "constant_rate"], "has nothing to tune; expected one with parameters: boosted_trees"),
        (["tune", "--auto", "--trials", "3"], "needs a time"),
    ],
)
def test_what_cannot_be_done_is_told(sample_run, command, said):
    assert said in sample_run.run(["intent", *command], expect=1).stderr
    assert not (sample_run.out / "tuning" / "studies.db").exists()  # no study was begun


def test_nan_predictions_are_named(sample_run, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    table = pq.read_table(sample_run.out / "test_predictions.parquet")
    values = table["p_boosted_trees"].to_numpy().copy()
    values[3] = np.nan
    place = table.column_names.index("p_boosted_trees")
    pq.write_table(table.set_column(place, "p_boosted_trees", [values]), out / "test_predictions.parquet")
    done = sample_run.run(["intent", "compare", str(out)], expect=1)
    assert "Probabilities of boosted_trees cannot be used: got 1 of" in done.stderr
