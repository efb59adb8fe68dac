"""`intent evaluate --require-targets`: what is required of the ensemble decides on the exit code too."""

import json
from dataclasses import replace

import numpy as np
import pytest

from intent_cli.commands.evaluate import evaluate
from tests.conftest import ROOT
from training.evaluation.bootstrap import Difference, Interval
from training.evaluation.evaluate import evaluate as judge
from training.evaluation.paired import Paired
from training.evaluation.predictions import Predictions
from training.evaluation.targets import CheckedTarget, Target
from training.pipelines import evaluate as pipeline


def paired(auc: tuple[float, float], ece: tuple[float, float]) -> Paired:
    ends = {"roc_auc": auc, "log_loss": (0.0, 0.1), "ece": ece, "pr_auc": auc, "brier": ece, "lift_at_10": auc}
    return Paired("trees", {name: Difference(name, sum(pair) / 2, Interval(*pair)) for name, pair in ends.items()})


def judged(tmp_path, monkeypatch, auc, ece, targets=(), **more) -> dict:
    """Make the command judge four anchors with these differences and targets; return what to call it with."""
    label = np.array([0, 1, 0, 1], dtype=np.int8)
    users = np.array(["a", "b", "c", "d"], dtype=object)
    p = np.array([0.1, 0.7, 0.4, 0.3])
    predictions = Predictions(users, np.zeros(4, dtype=np.int64), label, {"trees": p, "ensemble": p[::-1].copy()})
    found = replace(judge(predictions, seed=1, draws=5), paired=paired(auc, ece))
    done = pipeline.Evaluated(found, targets, tmp_path / "report.html", **more)
    monkeypatch.setattr(pipeline, "evaluate_run", lambda *_: done)
    return {"config": ROOT / "intent.toml", "out": tmp_path}


@pytest.mark.parametrize(
    ("auc", "ece", "code"),
    [
        ((-0.003, 0.001), (-0.002, -0.001), 0),
        ((-0.004, 0.001), (-0.002, -0.001), 2),
        ((-0.003, 0.001), (-0.002, 0.001), 2),
    ],
)
def test_what_is_not_shown_of_the_ensemble_fails_a_run_that_requires_it(
    tmp_path, monkeypatch, capsys, auc, ece, code
) -> None:
    given = judged(tmp_path, monkeypatch, auc, ece)
    assert evaluate(require_targets=True, **given) == code
    assert evaluate(**given) == 0
    capsys.readouterr()
    assert evaluate(require_targets=True, as_json=True, **given) == code
    record = json.loads(capsys.readouterr().out)["paired"]["ensemble_minus_best_member"]
    assert all(one["answer"] == "yes" for one in record["requirements"]) == (code == 0)


@pytest.mark.parametrize(("value", "asked", "code"), [(np.nan, False, 0), (np.nan, True, 2), (0.7, True, 2)])
def test_a_target_that_is_not_asked_fails_nothing(tmp_path, monkeypatch, capsys, value, asked, code) -> None:
    target = CheckedTarget(Target("sequence_lstm", "roc_auc", "≥", 0.745), value, asked)
    given = judged(tmp_path, monkeypatch, (-0.003, 0.001), (-0.002, -0.001), (target,))
    assert evaluate(require_targets=True, as_json=True, **given) == code
    assert json.loads(capsys.readouterr().out)["targets"] == [target.to_json()]


def test_seeds_and_damaged_logs_are_printed(tmp_path, monkeypatch, capsys) -> None:
    row = {"what": "10 % of events missing", "changed": 0.1, "mean_move": 0.01, "ensemble": {"roc_auc": 0.7}}
    more = {
        "robustness": {"anchors": 12, "customers": 5, "variants": [row]},
        "seeds": {"seeds": [7, 8], "members": {"ensemble": {"roc_auc": {"mean": 0.7, "deviation": 0.01}}}},
    }
    given = judged(tmp_path, monkeypatch, (-0.003, 0.001), (-0.002, -0.001), **more)
    monkeypatch.setattr("training.pipelines.robustness.judge_robustness", lambda *_: None)
    evaluate(**given)
    plain = capsys.readouterr().out
    assert "roc_auc 0.7000 ± 0.0100, pr_auc not defined" in plain
    assert f"intent compare {tmp_path}" in plain
    assert "damaged logs" not in plain
    evaluate(robustness=True, **given)
    told = capsys.readouterr().out
    assert "damaged logs, a sample of 12 anchors of 5 customers" in told
    assert "10 % of events missing" in told
