import math

import pytest

from training.evaluation.evaluate import evaluate
from training.evaluation.predictions import Predictions
from training.evaluation.targets import TA_FENG_TARGETS, CheckedTarget, Target, check_targets


@pytest.mark.parametrize(
    ("relation", "value", "met"),
    [
        ("≥", 0.75, True),
        ("≥", 0.7499, False),
        ("≤", 0.75, True),
        ("≤", 0.7501, False),
        ("≥", math.nan, False),
        ("≤", math.nan, False),
    ],
)
def test_a_bound_includes_itself_and_the_unknown_is_not_met(relation, value, met):
    assert CheckedTarget(Target("ensemble", "roc_auc", relation, 0.75), value).met is met


def test_values_come_from_members_and_from_the_paired_difference(predictions):
    evaluation = evaluate(predictions, seed=1, draws=50)
    targets = [
        Target("sharp", "brier", "≤", 1.0),
        Target("paired", "roc_auc_low", "≥", -1.0),
        Target("paired", "log_loss", "≤", 1.0),
    ]
    paired = evaluation.paired.differences
    assert [checked.value for checked in check_targets(evaluation, targets)] == [
        evaluation.metrics["sharp"]["brier"],
        paired["roc_auc"].interval.low,
        paired["log_loss"].estimate,
    ]


def test_what_the_run_does_not_have_is_not_met(predictions):
    alone = Predictions(
        predictions.user_id, predictions.anchor_us, predictions.label, {"m": predictions.probability["sharp"]}
    )
    checked = check_targets(evaluate(alone, seed=1, draws=5), TA_FENG_TARGETS)
    assert not any(target.met for target in checked)
    assert all(math.isnan(target.value) for target in checked)
    assert {target.target.subject for target in checked if target.missed} == {"ensemble", "paired"}


def test_a_target_of_a_member_that_is_not_in_the_run_is_not_asked(predictions):
    bound = Target("sequence_lstm", "roc_auc", "≥", 0.745)
    (found,) = check_targets(evaluate(predictions, seed=1, draws=5), [bound])
    assert (found.result, found.met, found.missed) == ("not asked", False, False)
    assert found.text == "not asked: sequence_lstm is not in this run"
    record = found.to_json()
    assert (record["value"], record["result"], record["text"]) == (None, "not asked", found.text)


def test_a_figure_that_is_not_defined_of_a_member_of_the_run_is_missed():
    found = CheckedTarget(Target("sharp", "roc_auc", "≥", 0.7), math.nan)
    assert found.missed
    assert found.text == "missed: sharp roc_auc not defined, expected ≥ 0.7"
