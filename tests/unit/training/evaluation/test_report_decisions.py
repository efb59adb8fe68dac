"""What the page shows of decisions, groups, seeds, damaged logs and the best that is known."""

import pytest

from training.evaluation.decisions import FURTHER
from training.evaluation.evaluate import evaluate
from training.evaluation.fairness import fairness_tables
from training.evaluation.metrics import METRICS
from training.evaluation.report import ReportInput, render

FIGURES = dict.fromkeys(METRICS, 0.25)
ROBUSTNESS = {
    "anchors": 500,
    "customers": 200,
    "variants": [
        {"what": "10 % of events missing", "changed": 0.1, "mean_move": 0.01, "ensemble": FIGURES | {"ece": None}}
    ],
}
UNKNOWN = {"mean": None, "deviation": None}
OVER_SEEDS = {name: {"mean": 0.7, "deviation": 0.0123} for name in METRICS} | dict.fromkeys(FURTHER, UNKNOWN)
SEEDS = {"seeds": [7, 8, 9], "members": {"sharp": OVER_SEEDS | {"f1": {"mean": 0.3456, "deviation": 0.0234}}}}


@pytest.fixture(scope="module")
def evaluation(predictions):
    return evaluate(predictions, seed=1, draws=20, thresholds={"sharp": 0.3, "ensemble": 0.25})


def page(evaluation, **parts):
    return render(ReportInput("A shop", "Will they buy?", evaluation, **parts))


def test_decisions_and_the_parts_of_the_brier_score(evaluation):
    text = page(evaluation)
    assert "Where the Brier score comes from" in text
    assert f"{evaluation.further['sharp']['f1'].value:.4f}" in text
    assert f"{evaluation.further['sharp']['reliability'].value:.4f}" in text
    assert "It was not tested: <code>intent evaluate --robustness</code>" in text
    assert "This is one training" in text


def test_groups_with_what_sets_them_apart(evaluation, predictions):
    tables = fairness_tables(
        predictions.label, predictions.probability["sharp"], predictions.slices, member="sharp", threshold=0.3
    )
    text = page(evaluation, fairness=tables)
    assert "By age group, of <code>sharp</code> at its threshold 0.3000" in text
    assert f"{tables[0].differences['selection_rate']:.4f}" in text


def test_seeds_damage_and_the_best(evaluation):
    ceiling = {"best": 0.4, "constant": 0.5, "share": {"sharp": 0.93, "ensemble": None}}
    text = page(evaluation, robustness=ROBUSTNESS, seeds=SEEDS, ceiling=ceiling)
    for part in ("10 % of events missing", "± 0.0123", "0.3456", "± 0.0234", "the seeds 7, 8, 9", "93.0", "0.4000"):
        assert part in text, part
    assert "This is one training" not in text
    assert "It was not tested" not in text


def test_nothing_to_judge_is_said():
    text = page(None)
    assert "No figures of decisions were worked out." in text
    assert "Nothing is known of customers" in text
