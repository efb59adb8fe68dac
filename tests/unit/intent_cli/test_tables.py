"""What `intent evaluate` prints of the ensemble: its standing to its members, and one line where it is one of them."""

from dataclasses import replace

import numpy as np
import pytest

from intent_cli.commands.compare import _asked
from intent_cli.tables import metric_lines, robustness_lines, seed_lines, target_lines
from training.evaluation.compare import compare_runs
from training.evaluation.evaluate import evaluate
from training.evaluation.judged_run import JudgedRun
from training.evaluation.predictions import Predictions
from training.evaluation.targets import CheckedTarget, Target

SHOWN = ("roc_auc", "log_loss", "ece")


@pytest.fixture(scope="module")
def predictions() -> Predictions:
    random = np.random.default_rng(1)
    rows = 900
    truth = 1 / (1 + np.exp(1.3 - 1.4 * random.normal(size=rows)))
    members = {name: np.clip(truth + random.normal(scale=scale, size=rows), 0.01, 0.99)
               for name, scale in (("boosted_trees", 0.05), ("logistic_regression", 0.3))}  # fmt: skip
    return Predictions(
        user_id=np.array([f"{number % 300:04d}" for number in range(rows)], dtype=object),
        anchor_us=np.zeros(rows, dtype=np.int64),
        label=(random.random(rows) < truth).astype(np.int8),
        probability=members | {"ensemble": (members["boosted_trees"] + members["logistic_regression"]) / 2},
    )


def as_trees(predictions: Predictions) -> Predictions:
    trees = predictions.probability["boosted_trees"]
    return replace(predictions, probability=dict(predictions.probability) | {"ensemble": trees})


def lines_of(predictions: Predictions, metrics=SHOWN, members=None, thresholds=None) -> list[str]:
    found = evaluate(predictions, seed=1, draws=100, thresholds=thresholds)
    return metric_lines(found, metrics, members or tuple(found.metrics))


def test_each_difference_is_followed_by_what_is_required_of_it(predictions):
    lines = lines_of(predictions)
    best = lines.index("  ensemble minus boosted_trees, the best member in hindsight:")
    plain = lines.index("  ensemble minus logistic_regression:")
    assert [line.split("?")[0].strip() for line in lines[best + 4 : plain]] == [
        "required: no worse in AUC",
        "required: better calibrated",
    ]
    assert [line.split("?")[0].strip() for line in lines[plain + 4 :]] == [
        "no worse in AUC",
        "required: not behind in AUC",
        "better calibrated",
    ]


def test_a_worse_calibration_is_followed_by_advice(predictions):
    pushed = np.sqrt(predictions.probability["ensemble"])
    lines = lines_of(replace(predictions, probability=dict(predictions.probability) | {"ensemble": pushed}))
    place = lines.index("    required: better calibrated? no, ECE is behind")
    assert lines[place + 1] == "      To serve the best member alone, run: intent train --member boosted_trees"
    assert sum("--member" in line for line in lines) == 1


def test_an_ensemble_that_is_a_member_has_one_row(predictions):
    lines = lines_of(as_trees(predictions))
    assert [line.split()[0] for line in lines[1:3]] == ["logistic_regression", "ensemble"]
    assert lines[3] == "  the ensemble is boosted_trees itself, as it is: shown once"
    assert not any("ensemble minus boosted_trees" in line for line in lines)
    assert "  ensemble minus logistic_regression:" in lines


def test_a_member_that_is_asked_for_alone_is_shown(predictions):
    lines = lines_of(as_trees(predictions), members=("boosted_trees",))
    assert lines[1].startswith("  boosted_trees ")
    assert lines[2] == "  the ensemble is boosted_trees itself, as it is"


def test_figures_at_other_thresholds_are_rows_of_their_own(predictions):
    apart = {"boosted_trees": 0.2, "logistic_regression": 0.2, "ensemble": 0.5}
    lines = lines_of(as_trees(predictions), metrics=("f1",), thresholds=apart)
    assert [line.split()[0] for line in lines[1:4]] == ["boosted_trees", "logistic_regression", "ensemble"]


def test_targets_of_members_that_are_not_in_the_run_are_told_and_not_counted():
    bound = Target("ensemble", "roc_auc", "≥", 0.75)
    absent = CheckedTarget(Target("sequence_lstm", "roc_auc", "≥", 0.745), np.nan, asked=False)
    lines = target_lines([CheckedTarget(bound, 0.76), absent, CheckedTarget(bound, 0.7), absent])
    assert lines == [
        "  targets: 1 of 2 met",
        "    missed: ensemble roc_auc 0.7000, expected ≥ 0.75",
        "    not asked: sequence_lstm is not in this run",
    ]
    assert target_lines([]) == []


def test_the_spread_over_seeds_is_told_of_the_ensemble():
    figures = {"roc_auc": {"mean": 0.75, "deviation": 0.001}, "f1": {"mean": None, "deviation": None}}
    found = {"seeds": [7, 8, 9], "members": {"trees": {}, "ensemble": figures}}
    assert seed_lines(found, ("roc_auc", "f1"), "artifacts/demo") == [
        "  ensemble over the seeds 7, 8, 9, mean ± standard deviation (every member's: intent compare artifacts/demo):",
        "    roc_auc 0.7500 ± 0.0010, f1 not defined",
    ]
    assert seed_lines({}, ("roc_auc",), "artifacts/demo") == []


def test_each_damage_to_the_log_has_a_line():
    figures = {"roc_auc": 0.75, "log_loss": 0.41, "ece": None}
    found = {
        "anchors": 3412,
        "customers": 2000,
        "variants": [
            {"what": "as it is", "changed": 0.0, "mean_move": 0.0, "ensemble": figures},
            {"what": "10 % of events missing", "changed": 0.1, "mean_move": 0.0123, "ensemble": figures},
        ],
    }
    lines = robustness_lines(found)
    assert lines[0] == "  the ensemble on damaged logs, a sample of 3,412 anchors of 2,000 customers:"
    assert lines[1].split() == ["rows", "changed", "mean", "move", "roc_auc", "log_loss", "ece"]
    assert lines[3].split("missing")[1].split() == ["10.0%", "0.0123", "0.7500", "0.4100", "not", "defined"]
    assert len({len(line) for line in lines[1:]}) == 1


def test_runs_side_by_side_end_with_what_is_required(predictions):
    found = compare_runs({"only": JudgedRun(predictions)}, metrics=SHOWN, draws=100)
    lines = [line for pair in found.ensemble for line in _asked(pair)]
    assert lines[0] == "  the ensemble against boosted_trees, the best member in hindsight:"
    assert lines[1].startswith("    required: no worse in AUC? ")
    assert lines[3] == "  the ensemble against logistic_regression:"
    found = compare_runs({"only": JudgedRun(as_trees(predictions))}, metrics=SHOWN, draws=20)
    assert _asked(found.ensemble[0]) == ["  the ensemble is boosted_trees, the best member in hindsight, as it is"]
    found = compare_runs({"only": JudgedRun(predictions)}, metrics=("lift_at_5",), draws=20)
    assert [_asked(pair) for pair in found.ensemble] == [[], []]
