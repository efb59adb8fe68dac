"""What a study holds, and what to run next: a point that waits, runs, or is finished is not run a second time."""

import time
import warnings
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import optuna

from training.models.contract import Parameter, Value
from training.tuning.search_space import clamped, defaults

__all__ = [
    "BEAT_SECONDS",
    "CUT",
    "DEFAULT",
    "FAILED",
    "GRACE_SECONDS",
    "MEMORY",
    "VALUES",
    "WHY",
    "NotToRun",
    "begin",
    "default_trial",
    "finished",
    "give_up_lost",
    "queue_defaults",
    "queue_point",
    "require_needed",
    "running",
    "values_of",
    "wait_for_others",
]

VALUES, WHY, DEFAULT, _BEGUN = "values", "why", "default", "begun"
MEMORY, FAILED, CUT, NEEDLESS = "out of memory", "failed", "cut by the budget", "another tuning has its point"

BEAT_SECONDS, GRACE_SECONDS = 5, 30
"""How often a trial that runs says so, and after how long without it is lost."""
_LOOK_AGAIN_SECONDS = 1.0
_States = optuna.trial.TrialState


class NotToRun(Exception):
    """A trial that another tuning of the study made needless."""


def finished(study: Any) -> list[Any]:
    """Return the trials that count against a budget of trials: complete, pruned, out of memory, or failed by itself."""
    return [trial for trial in study.get_trials(deepcopy=False) if _counts(trial)]


def default_trial(study: Any) -> Any:
    """Return the finished trial of the defaults; None if there is none yet."""
    trials = study.get_trials(deepcopy=False, states=(_States.COMPLETE,))
    return next((trial for trial in trials if trial.user_attrs.get(DEFAULT)), None)


def values_of(trial: Any) -> dict[str, Value]:
    """Return what the member was told in a trial."""
    return dict(trial.user_attrs[VALUES])


def queue_defaults(study: Any, space: Sequence[Parameter]) -> bool:
    """Queue the defaults unless they wait or run already; False if they run, for then there is nothing to start."""
    held = [trial for trial in _waiting(study) + running(study) if trial.user_attrs.get(DEFAULT)]
    if not held:
        study.enqueue_trial(clamped(space, defaults(space)), user_attrs={DEFAULT: True})
    return not held or any(trial.state == _States.WAITING for trial in held)


def queue_point(study: Any, points: Iterable[dict[str, Value]]) -> bool:
    """Queue the next of `points`, unless a trial waits already; False if no trial has yet to be started.

    A point is not queued that a finished trial has, or one that runs.
    """
    if _waiting(study):
        return True
    taken = [_point(trial) for trial in finished(study) + running(study)]
    point = next((point for point in points if point not in taken), None)
    if point is not None:
        study.enqueue_trial(point)
    return point is not None


def running(study: Any) -> list[Any]:
    """Return the trials that run, here or elsewhere, as far as is known: a kill may have ended one a moment ago."""
    return list(study.get_trials(deepcopy=False, states=(_States.RUNNING,)))


def begin(trial: Any) -> None:
    """Mark a trial as begun, by a first heartbeat and then by its number: a retried one has the marks of the first."""
    trial.storage.record_heartbeat(trial._trial_id)
    trial.set_user_attr(_BEGUN, trial.number)


def require_needed(study: Any, trial: Any, queued: bool) -> None:
    """Refuse a trial that has begun, if an earlier one has its point: waiting, running, or finished.

    Tunings that look at the same moment all queue what each of them finds missing. The database numbers trials one
    after another, so that of two the later knows of the earlier. With `queued`, a trial of no point is refused as well:
    another tuning took what this one saw in the queue, and the sampler drew something in its place.

    Raises:
        NotToRun: so it is.
    """
    *earlier, own = study.get_trials(deepcopy=False)[: trial.number + 1]
    if not _has_point(own):
        needless = queued
    else:
        needless = any(_has_point(other) and _holds(other) and _point(other) == _point(own) for other in earlier)
    if needless:
        trial.set_user_attr(WHY, NEEDLESS)
        raise NotToRun


def give_up_lost(study: Any) -> None:
    """Fail the trials whose process is gone; those that had begun are queued again, with what they were told.

    The heartbeat of one that had begun is old. One that was killed before it began has none, and beginning takes
    moments: it is lost once it is as old as a heartbeat may be.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    old = datetime.now() - timedelta(seconds=GRACE_SECONDS)  # Optuna's times have no zone either
    for trial in running(study):
        if trial.user_attrs.get(_BEGUN) != trial.number and trial.datetime_start < old:
            study.tell(trial.number, state=_States.FAIL, skip_if_finished=True)


def wait_for_others(deadline: float) -> None:
    """Sleep for a moment, not beyond `deadline` of `time.monotonic`."""
    time.sleep(min(_LOOK_AGAIN_SECONDS, max(deadline - time.monotonic(), 0.0)))


def _waiting(study: Any) -> list[Any]:
    return list(study.get_trials(deepcopy=False, states=(_States.WAITING,)))


def _counts(trial: Any) -> bool:
    of_its_own = trial.state == _States.FAIL and trial.user_attrs.get(WHY) in (MEMORY, FAILED)
    return of_its_own or trial.state in (_States.COMPLETE, _States.PRUNED)


def _holds(trial: Any) -> bool:
    """Tell whether a trial's point is its own; defaults that could not be fitted are asked again, by whoever comes."""
    if trial.user_attrs.get(DEFAULT) and trial.state == _States.FAIL:
        return False
    return trial.state in (_States.WAITING, _States.RUNNING) or _counts(trial)


def _has_point(trial: Any) -> bool:
    """Tell a trial that was queued, or is tried again, from one whose values a sampler has yet to draw."""
    return "fixed_params" in trial.system_attrs or bool(trial.params)


def _point(trial: Any) -> dict[str, Value]:
    """Return the point of a grid that a trial is of; one that was just begun has not asked for its values yet."""
    return dict(trial.system_attrs.get("fixed_params", trial.params))
