"""`intent tune` where what it searches with is not installed, and what it says of a study."""

import sys
from dataclasses import replace

import pytest

from intent_cli.commands.tune import _chosen, _lines
from intent_cli.main import run
from training.tuning.auto import AutoRecord
from training.tuning.record import StudyRecord
from training.tuning.study import Identity


def test_without_optuna_it_is_told_with_the_command_that_installs_it(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert run(["tune", "recency", "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "`intent tune` needs the package 'optuna', which is not installed" in error
    assert "pip install --require-hashes -r requirements/platform.txt" in error
    assert "Unexpected" not in error
    assert list(tmp_path.iterdir()) == []


def trial(values, difference=None, state="complete", error=0.001):
    score = None if difference is None else 0.4 + difference
    return {"values": values, "state": state, "score": score, "difference": difference, "standard_error": error}


def record(sampler, *trials, difference=0.0, error=0.001):
    identity = Identity("recency", "", "", "log_loss", 3, 1)
    best = min((one for one in trials if one["score"] is not None), key=lambda one: one["score"])
    told = (identity, sampler, 1, 1000, 0.4, best["score"], difference, error, {"c": 1.0}, best["values"])
    return StudyRecord(*told, {"complete": len(trials)}, 1.0, trials)


DEFAULTS = trial({"c": 1.0}, 0.0)


@pytest.mark.parametrize(
    ("found", "last"),
    [
        (record("tpe", DEFAULTS), "nothing but the defaults was judged: they stay"),
        (
            record("tpe", DEFAULTS, trial({"c": 9.0}, 0.01)),
            "nothing that was tried is better than the defaults: they stay",
        ),
        (
            record("tpe", DEFAULTS, trial({"c": 9.0}, -0.001), difference=-0.001),
            "the best is inside the noise: the defaults stay",
        ),
        (record("tpe", DEFAULTS, trial({"c": 9.0}, -0.01), difference=-0.01), "better beyond the noise"),
    ],
)
def test_the_verdict_says_what_was_found(found, last):
    assert _lines(found)[-1].strip() == last
    assert len(_lines(found)) == 3


def test_of_points_laid_out_beforehand_each_is_told():
    points = (
        trial({"c": 9.0}, 0.01),
        trial({"c": 3.0}, 0.001),
        trial({"c": 0.1}, -0.004),
        trial({"c": 0.2}, state="pruned"),
    )
    lines = _lines(record("one_at_a_time", DEFAULTS, *points, difference=-0.004))
    assert [line.strip() for line in lines[2:-1]] == [
        "c 9.0: 0.41000, +0.01000 (0.00100), worse beyond the noise",
        "c 3.0: 0.40100, +0.00100 (0.00100), inside the noise",
        "c 0.1: 0.39600, -0.00400 (0.00100), better beyond the noise",
        "c 0.2: pruned",
    ]


def test_what_is_chosen_together_is_told_beside_the_noise():
    both = AutoRecord({}, (), ("a", "b"), (), {}, "a", 0.40, 0.399, -0.001, 0.001)
    assert _chosen(both).endswith("a alone 0.40000, difference -0.00100 (standard error 0.00100), inside the noise")
    assert _chosen(replace(both, difference=-0.003)).endswith("better beyond the noise")
    assert _chosen(replace(both, chosen=("a",), ensemble=0.4)) == "a alone, 0.40000"
