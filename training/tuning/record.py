"""What a study found: the settings that are better than the defaults beyond the noise, or else the defaults."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import optuna

from feature_repo.errors import InputError
from training.models.contract import Value
from training.tuning.queue import WHY, default_trial, finished, values_of
from training.tuning.scores import compare
from training.tuning.study import Identity
from training.tuning.trials import Trials, judged_rows

__all__ = ["BETTER", "BEYOND", "StudyRecord", "beside_noise", "record_of"]

BEYOND = 2.0
"""So many standard errors the best trial must be better by: it is the best of many on the same anchors."""
BETTER, WORSE, NOISE = "better beyond the noise", "worse beyond the noise", "inside the noise"


def beside_noise(difference: float, standard_error: float) -> str:
    """Return what a difference of scores, lower being better, is beside its standard error."""
    if abs(difference) > BEYOND * standard_error:
        return WORSE if difference > 0 else BETTER
    return NOISE


@dataclass(frozen=True)
class StudyRecord:
    """A study as numbers.

    `default` and `best`: mean score of the defaults and of the best trial, over the judged anchors; lower is better.
    `difference`: best minus default, with its `standard_error` (by customer or by date, the larger; None where
    it is not finite). `chosen`: the best values where they are better by more than
    two standard errors, else the defaults. `counts`: trials by what came of them. `seconds`: spent in all trials.
    `trials`: each with its values, its score and that of each fold, and its own difference and standard error (None
    where it was not judged to the end, or its predictions are not kept here).
    """

    identity: Identity
    sampler: str
    seed: int
    anchors: int
    default: float
    best: float
    difference: float
    standard_error: float | None
    defaults: dict[str, Value]
    values: dict[str, Value]
    counts: dict[str, int]
    seconds: float
    trials: tuple[dict[str, Any], ...]

    @property
    def better(self) -> bool:
        """True where the best trial is better than the defaults beyond the noise."""
        return self.standard_error is not None and beside_noise(self.difference, self.standard_error) == BETTER

    @property
    def tried(self) -> list[dict[str, Any]]:
        """Return the trials of other values than the defaults."""
        return [trial for trial in self.trials if trial["values"] != self.defaults]

    @property
    def chosen(self) -> dict[str, Value]:
        """What to tell the member."""
        return self.values if self.better else self.defaults

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-able data."""
        return {**asdict(self), "better_beyond_noise": self.better, "chosen": self.chosen, "trials": list(self.trials)}


def record_of(study: Any, trials: Trials, identity: Identity) -> StudyRecord:
    """Return what `study` says so far; it holds at least the trial of the defaults.

    Raises:
        InputError: what the best trial, or that of the defaults, predicted is not kept here.
    """
    default, best = default_trial(study), study.best_trial
    rows, examples = judged_rows(trials.folds), trials.examples
    usual = trials.anchor_scores(trials.predicted(default))

    def against_default(trial: Any) -> tuple[float, float | None]:
        scores = trials.anchor_scores(trials.predicted(trial))
        apart, error = compare(scores, usual, examples.user_id[rows], examples.anchor_us[rows])
        return apart, error if np.isfinite(error) else None

    difference, spread = against_default(best)
    return StudyRecord(
        identity=identity,
        sampler=trials.sampler,
        seed=trials.settings.seed,
        anchors=int(sum(len(fold.judged) for fold in trials.folds)),
        default=float(default.value),
        best=float(best.value),
        difference=difference,
        standard_error=spread,
        defaults=values_of(default),
        values=values_of(best),
        counts=dict(Counter(_state(trial) for trial in finished(study))),
        seconds=round(sum(trial.user_attrs.get("seconds", 0.0) for trial in study.get_trials(deepcopy=False)), 1),
        trials=tuple(_trial(trial, against_default) for trial in finished(study)),
    )


def _state(trial: Any) -> str:
    return str(trial.user_attrs.get(WHY) or trial.state.name.lower())


def _trial(trial: Any, against_default: Callable[[Any], tuple[float, float | None]]) -> dict[str, Any]:
    complete = trial.state == optuna.trial.TrialState.COMPLETE
    difference, error = None, None
    if complete:
        with suppress(InputError):  # of another machine: its score is known all the same
            difference, error = against_default(trial)
    return {
        "number": trial.number,
        "state": _state(trial),
        "score": float(trial.value) if complete else None,
        "difference": difference,
        "standard_error": error,
        "folds": trial.user_attrs.get("folds"),
        "values": values_of(trial),
        "seconds": trial.user_attrs.get("seconds"),
        **({"message": trial.user_attrs["message"]} if "message" in trial.user_attrs else {}),
    }
