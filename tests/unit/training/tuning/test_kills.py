"""Tunings that are killed: what was begun is tried again, what waits is not queued twice, no process is left."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import optuna
import pytest

from tests.unit.training.tuning.conftest import SMALL_GRID, assert_every_point_once
from training.tuning.queue import VALUES, begin, finished, queue_defaults, queue_point, running
from training.tuning.record import record_of
from training.tuning.search_space import grid_points, suggest
from training.tuning.trials import Budget

ROOT = Path(__file__).resolve().parents[4]
RETRY = optuna.storages.RetryHeartbeatStaleTrialCallback

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:Heartbeat of storage is supposed to be used with Study.optimize"),
]

KILLED = """
import sys
from pathlib import Path
import tests.unit.training.tuning.conftest as shared
folder, sampler, trouble, beat, grace, *only = Path(sys.argv[1]), *sys.argv[2:]
import training.tuning.queue
training.tuning.queue.BEAT_SECONDS, training.tuning.queue.GRACE_SECONDS = int(beat), int(grace)
from training.progress import Silent
from training.tuning.trials import Budget
study, trials, _ = shared.opened(shared.Known(trouble=trouble), sampler, only, 1, folder, shared.weekly_examples())
trials.run(study, Budget(100, None), Silent().task("", 0, ""))
"""


@contextmanager
def tuning_to_kill(
    folder: Path, sampler: str, trouble: str, beat: int = 5, grace: int = 30, only: tuple[str, ...] = ()
):
    """Run a tuning in a session of its own, and leave nothing of it behind."""
    command = [sys.executable, "-c", KILLED, str(folder), sampler, trouble, str(beat), str(grace), *only]
    running = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        yield running
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait(10)


@pytest.fixture
def quick_beats(monkeypatch):
    """A heartbeat a second, and a trial that has none for three seconds is lost."""
    monkeypatch.setattr("training.tuning.queue.BEAT_SECONDS", 1)
    monkeypatch.setattr("training.tuning.queue.GRACE_SECONDS", 3)


def test_a_killed_tuning_goes_on_and_leaves_no_process(make, nobody, tmp_path):
    with tuning_to_kill(tmp_path, "tpe", "slow") as killed:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and len(list(tmp_path.glob("known/*.npy"))) < 2:
            time.sleep(0.05)
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
        before = len(list(tmp_path.glob("known/*.npy"))) - 1  # of the last one the study may not know yet
        while time.monotonic() < deadline and alive(killed.pid):
            time.sleep(0.05)
        assert not alive(killed.pid)  # the trial's own process dies with its parent
    study, trials, identity = make()
    assert len(finished(study)) >= before
    trials.run(study, Budget(before + 3, None), nobody)
    assert len(finished(study)) == before + 3
    assert record_of(study, trials, identity).counts["complete"] >= 2


def test_a_trial_that_was_running_is_tried_again_once_its_heartbeat_is_old(make, nobody, tmp_path, quick_beats):
    def hanging(study):
        return [one for one in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)) if one.params.get("harm")]

    study, trials, identity = make("random")
    with tuning_to_kill(tmp_path, "random", "hang", 1, 3) as killed:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (hanging(study) and beats(tmp_path) > hanging(study)[0].number):
            time.sleep(0.1)
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
    (lost,) = hanging(study)
    before = len(finished(study))
    time.sleep(4)
    trials.run(study, Budget(before + 1, None), nobody)
    assert study.trials[lost.number].state == optuna.trial.TrialState.FAIL
    again = finished(study)[-1]
    assert again.params == lost.params
    assert RETRY.retried_trial_number(again) == lost.number
    assert sum(record_of(study, trials, identity).counts.values()) == before + 1  # the killed one is not counted


@pytest.mark.parametrize("trouble", ["endless", "hang"], ids=["in the defaults", "in a point"])
def test_after_a_kill_every_point_of_a_grid_is_tried_once(trouble, make, nobody, tmp_path, quick_beats):
    study, trials, _ = make("grid", only=SMALL_GRID)
    with tuning_to_kill(tmp_path, "grid", trouble, 1, 3, SMALL_GRID) as killed:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (at_work := stuck(study, trouble)):
            time.sleep(0.1)
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
        while time.monotonic() < deadline and alive(killed.pid):
            time.sleep(0.05)
        assert not alive(killed.pid)  # nor does the fit go on, which would have taken minutes
    (lost,) = at_work
    trials.run(study, Budget(None, None), nobody)  # at once: the heartbeat of the lost one is not old yet
    assert study.trials[lost.number].state == optuna.trial.TrialState.FAIL
    assert_every_point_once(study, trials)
    trials.run(study, Budget(None, None), nobody)
    assert_every_point_once(study, trials)


def stuck(study, trouble):
    return [
        one for one in running(study) if VALUES in one.user_attrs and (trouble == "endless" or one.params.get("harm"))
    ]


@pytest.mark.parametrize("what", ["the defaults", "a point", "a point that is tried again"])
@pytest.mark.parametrize("begun", [False, True], ids=["before it is taken", "before its first heartbeat"])
def test_what_a_kill_left_in_the_queue_is_tried_once(what, begun, make, nobody, quick_beats):
    study, trials, _ = make("grid", only=SMALL_GRID)
    if what == "the defaults":
        assert queue_defaults(study, trials.space)
    else:
        trials.run(study, Budget(2, None), nobody)
        assert queue_point(study, grid_points(trials.space, 1))
        if what == "a point that is tried again":
            give_up_as_stale(study, trials)
    if begun:
        study.ask()
        assert what != "the defaults" or not queue_defaults(study, trials.space)
    trials.run(study, Budget(None, None), nobody)
    assert_every_point_once(study, trials)


def give_up_as_stale(study, trials):
    """Take the next point of the queue, and let it be tried again as one whose heartbeat is old."""
    trial = study.ask()
    begin(trial)
    trial.set_user_attr(VALUES, suggest(trial, trials.space))
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    RETRY(max_retry=3)(study, study.trials[trial.number])


def beats(folder: Path) -> int:
    """Return how many trials have sent a heartbeat."""
    with closing(sqlite3.connect(folder / "studies.db")) as database:
        return int(database.execute("SELECT count(*) FROM trial_heartbeats").fetchone()[0])


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
