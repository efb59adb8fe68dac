"""Several tunings on one study: what one of them has queued, or took, no other one judges as well."""

import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from tests.unit.training.tuning.conftest import SMALL_GRID, assert_every_point_once
from training.tuning import trials as module
from training.tuning.queue import DEFAULT, NEEDLESS, WHY, default_trial, finished
from training.tuning.search_space import clamped, defaults, grid_points
from training.tuning.study import Identity, open_study
from training.tuning.trials import Budget

ROOT = Path(__file__).resolve().parents[4]
TUNE = """
import sys, time
from pathlib import Path
import tests.unit.training.tuning.conftest as shared
folder, begin, *only = Path(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:]
study, trials, _ = shared.opened(shared.Known(), "grid", only, 1, folder, shared.weekly_examples())
from training.progress import Silent
from training.tuning.trials import Budget
while time.time() < begin:
    pass
trials.run(study, Budget(None, None), Silent().task("", 0, ""))
"""
TAKE = """
import sys, time
from training.tuning.study import Identity, open_study
study = open_study(sys.argv[1], "known", "random", Identity("known", "", "", "log_loss", 3, 1))
while time.time() < float(sys.argv[2]):
    pass
while (number := study._pop_waiting_trial_id()) is not None:
    print(number)
"""


def at_once(script: str, *told: str) -> list[str]:
    """Run a script in three processes that go on at the same moment, and return what each of them printed."""
    target, *further = told
    command = [sys.executable, "-c", script, target, str(time.time() + 10), *further]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(3)]
    said = [process.communicate(timeout=180) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    return [out for out, _ in said]


def needless(study) -> list[int]:
    return [trial.number for trial in study.trials if trial.user_attrs.get(WHY) == NEEDLESS]


def test_what_two_tunings_queued_is_judged_once(make, nobody):
    study, trials, _ = make("grid", only=SMALL_GRID)
    for _ in range(2):
        study.enqueue_trial(clamped(trials.space, defaults(trials.space)), user_attrs={DEFAULT: True})
    for point in grid_points(trials.space, 1):
        study.enqueue_trial(point)
        study.enqueue_trial(point)
    trials.run(study, Budget(None, None), nobody)
    assert_every_point_once(study, trials)
    assert len(needless(study)) == 8  # of two times seven, six had to be judged


def test_of_two_defaults_the_later_is_left_by_a_sampler_as_well(make, nobody):
    study, trials, _ = make("tpe")
    for _ in range(2):
        study.enqueue_trial(clamped(trials.space, defaults(trials.space)), user_attrs={DEFAULT: True})
    trials.run(study, Budget(3, None), nobody)
    assert default_trial(study).number == 0
    assert needless(study) == [1]
    assert len(finished(study)) == 3


@pytest.mark.parametrize("queue", ["queue_defaults", "queue_point"])
def test_nothing_is_drawn_in_the_place_of_what_another_tuning_took(queue, make, nobody, monkeypatch):
    study, trials, _ = make("grid", only=SMALL_GRID)
    real, seen = getattr(module, queue), []

    def taken_at_first(*arguments):
        seen.append(arguments)
        return True if len(seen) == 1 else real(*arguments)

    monkeypatch.setattr(module, queue, taken_at_first)
    trials.run(study, Budget(None, None), nobody)
    assert_every_point_once(study, trials)
    assert len(needless(study)) == 1


def test_tunings_of_one_grid_share_its_points(make, tmp_path):
    study, trials, _ = make("grid", only=SMALL_GRID)
    at_once(TUNE, str(tmp_path), *SMALL_GRID)
    assert_every_point_once(study, trials)


def test_a_trial_is_taken_from_the_queue_by_one_tuning(tmp_path):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    study = open_study(url, "known", "random", Identity("known", "", "", "log_loss", 3, 1))
    waiting = optuna.create_trial(state=optuna.trial.TrialState.WAITING)
    study.add_trials([waiting] * 60)
    took = [int(number) for out in at_once(TAKE, url) for number in out.split()]
    assert len(took) == 60
    assert len(set(took)) == 60
