"""Run trials of one member until the budget is used: each a fit and a refit on every fold, judged forward in time."""

import hashlib
import io
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from feature_repo.errors import InputError
from training.atomic import write_bytes
from training.dataset.examples import Examples
from training.ensemble.forward_predictions import predict as forward_predict
from training.models.contract import FitSettings, Member, Parameter, Value
from training.progress import Task
from training.tuning.forward_folds import Fold
from training.tuning.own_process import CutByBudget, OutOfMemory, TrialFailed, each_in_own_process
from training.tuning.queue import (
    CUT,
    DEFAULT,
    FAILED,
    MEMORY,
    VALUES,
    WHY,
    NotToRun,
    begin,
    default_trial,
    finished,
    give_up_lost,
    queue_defaults,
    queue_point,
    require_needed,
    running,
    wait_for_others,
)
from training.tuning.scores import anchor_scores
from training.tuning.search_space import defaults, grid_points, points_one_at_a_time, suggest
from training.tuning.study import Sampler

__all__ = ["Budget", "Trials", "judged_rows"]

Floats = NDArray[np.float64]
DIGEST = "predictions"


@dataclass(frozen=True)
class Budget:
    """When to stop: at so many finished trials in the study, counting earlier calls, or after so many seconds."""

    trials: int | None
    seconds: float | None

    def deadline(self, begun: float) -> float:
        """Return the moment on the clock of `begun` (seconds) after which nothing runs; infinity without one."""
        return begun + self.seconds if self.seconds is not None else float("inf")


@dataclass(frozen=True)
class Trials:
    """All that the trials of one study share.

    `settings.parameters` are told in every trial, but for those that are searched. `folder` keeps what each finished
    trial predicted, for comparisons; the study has a digest of it, so that what another study left is not read.
    """

    member: Member
    space: tuple[Parameter, ...]
    examples: Examples
    folds: list[Fold]
    settings: FitSettings
    metric: str
    sampler: Sampler
    folder: Path

    def run(self, study: Any, budget: Budget, task: Task, defaults_by: float = float("inf")) -> None:
        """Run trials, the defaults first; these are judged in full even if that takes longer than the budget.

        `defaults_by` (of `time.monotonic`) cuts even these off.

        Raises:
            TrialFailed: the defaults themselves cannot be fitted.
            CutByBudget: they could not be judged by `defaults_by`.
        """
        deadline = budget.deadline(time.monotonic())
        while default_trial(study) is None:
            give_up_lost(study)
            if queue_defaults(study, self.space):
                self._require_fitted(self._one(study, defaults_by, queued=True))
                task.advance()
            else:
                wait_for_others(defaults_by)
            if default_trial(study) is None and time.monotonic() >= defaults_by:
                raise CutByBudget
        while self.space and time.monotonic() + _least_seconds(study) < deadline and not self._enough(study, budget):
            give_up_lost(study)
            points = self._points()
            if points is None or queue_point(study, points):
                self._one(study, deadline, queued=points is not None)
                task.advance()
            elif running(study):  # its point is tried again if it comes to nothing
                wait_for_others(deadline)
            else:
                return

    def planned(self, budget: Budget) -> int:
        """Return how many trials there will be in all; 0 if that is not known before."""
        points = self._points()
        laid_out = None if points is None else len(list(points))
        return min((bound for bound in (budget.trials, laid_out) if bound is not None), default=0)

    def _points(self) -> Iterator[dict[str, Value]] | None:
        """Return the points that the sampler lays out beforehand; None if it draws them one by one."""
        if self.sampler == "grid":
            return grid_points(self.space, self.settings.seed)
        return points_one_at_a_time(self.space) if self.sampler == "one_at_a_time" else None

    def _enough(self, study: Any, budget: Budget) -> bool:
        return budget.trials is not None and len(finished(study)) >= budget.trials

    def _one(self, study: Any, deadline: float, queued: bool) -> Any:
        """Run one trial, and return what became of it."""
        numbers: list[int] = []

        def objective(trial: Any) -> float:
            numbers.append(trial.number)
            begin(trial)
            require_needed(study, trial, queued)
            return self._objective(trial, deadline)

        study.optimize(objective, n_trials=1, catch=(TrialFailed, CutByBudget, NotToRun))
        return study.get_trials(deepcopy=False)[numbers[0]]

    def _require_fitted(self, trial: Any) -> None:
        """Refuse to go on after the defaults could not be fitted just now: an earlier failure may have been mended."""
        if trial.user_attrs.get(DEFAULT) and trial.user_attrs.get(WHY) in (MEMORY, FAILED):
            raise TrialFailed(
                f"The defaults of member {self.member.name!r} cannot be fitted on the folds of the training period: "
                f"{trial.user_attrs['message']} Nothing can be compared with them; see to this first."
            )

    def _objective(self, trial: Any, deadline: float) -> float:
        asked = suggest(trial, self.space)
        values = defaults(self.space) if trial.user_attrs.get(DEFAULT) else asked
        trial.set_user_attr(VALUES, values)
        began = time.perf_counter()
        try:
            parts = self._parts(trial, values, deadline)
        except (OutOfMemory, TrialFailed, CutByBudget) as problem:
            kinds = {OutOfMemory: MEMORY, TrialFailed: FAILED, CutByBudget: CUT}
            trial.set_user_attr(WHY, kinds[type(problem)])
            trial.set_user_attr("message", str(problem)[:500])
            raise
        finally:
            trial.set_user_attr("seconds", round(time.perf_counter() - began, 2))
        content = _as_npy(np.concatenate(parts))
        write_bytes(self.folder / f"{trial.number}.npy", content)
        trial.set_user_attr(DIGEST, _digest(content))
        trial.set_user_attr("folds", [float(self._scores(place, part).mean()) for place, part in enumerate(parts)])
        return self.score(np.concatenate(parts))

    def _parts(self, trial: Any, values: dict[str, Value], deadline: float) -> list[Floats]:
        parts: list[Floats] = []
        told = replace(self.settings, parameters={**self.settings.parameters, **values})
        work = _FoldPredictor(self.member, self.examples, tuple(self.folds), told)
        members = [name for name in sys.modules if name.startswith("training.models.")]
        predictions = each_in_own_process(work, len(self.folds), deadline, [type(self.member).__module__, *members])
        try:
            for part in predictions:
                if not np.isfinite(part).all():
                    raise TrialFailed(f"{np.count_nonzero(~np.isfinite(part))} of {len(part)} predictions are NaN.")
                parts.append(part)
                so_far = np.concatenate([self._scores(place, one) for place, one in enumerate(parts)])
                trial.report(float(so_far.mean()), len(parts) - 1)
                if len(parts) < len(self.folds) and trial.should_prune() and not trial.user_attrs.get(DEFAULT):
                    raise optuna.TrialPruned
        finally:
            predictions.close()  # type: ignore[attr-defined]
        return parts

    def _scores(self, place: int, probability: Floats) -> Floats:
        rows = self.folds[place].judged
        return anchor_scores(self.metric, probability, self.examples.label[rows], self.examples.anchor_us[rows])

    def anchor_scores(self, probability: Floats) -> Floats:
        """Return the score of every judged anchor, in the order of the folds; lower is better."""
        ends = np.cumsum([len(fold.judged) for fold in self.folds])
        parts = np.split(probability, ends[:-1])
        return np.concatenate([self._scores(place, part) for place, part in enumerate(parts)])

    def score(self, probability: Floats) -> float:
        """Return the mean score of the judged anchors."""
        return float(self.anchor_scores(probability).mean())

    def predicted(self, trial: Any) -> Floats:
        """Return what `trial` predicted for the judged anchors, float64.

        Raises:
            InputError: it is not kept here: deleted, of another machine, or another trial's.
        """
        path = self.folder / f"{trial.number}.npy"
        content = path.read_bytes() if path.exists() else b""
        if _digest(content) != trial.user_attrs.get(DIGEST):
            raise InputError(
                f"Predictions of trial {trial.number} of member {self.member.name!r} are not at {path}; "
                "expected those that the study has a digest of, for trials are compared by them. Begin another study "
                "with --name, or go on where this one was begun."
            )
        return np.asarray(np.load(io.BytesIO(content), allow_pickle=False), np.float64)

    def require_predictions(self, study: Any) -> None:
        """Refuse to go on with a study whose default or best trial cannot be compared.

        Raises:
            InputError: as `predicted`.
        """
        default = default_trial(study)
        if default is not None:
            for trial in (default, study.best_trial):
                self.predicted(trial)


@dataclass(frozen=True)
class _FoldPredictor:
    """Predicts a fold's judged rows, in a process of its own: fitted as a run fits, with early stopping, then anew."""

    member: Member
    examples: Examples
    folds: tuple[Fold, ...]
    settings: FitSettings

    def __call__(self, number: int) -> Floats:
        fold, examples = self.folds[number], self.examples
        stop = examples.take(fold.stop) if len(fold.stop) else None
        fitted = self.member.fit(examples.take(fold.fit), stop, self.settings)
        if stop is not None:
            fitted = fitted.refit(examples.take(fold.known), self.settings)
        return forward_predict(fitted, examples.take(fold.judged))


def _least_seconds(study: Any) -> float:
    """Return what the fastest trial took: one that begins with less time left would be cut off, and found nothing."""
    return min((trial.user_attrs["seconds"] for trial in finished(study) if "folds" in trial.user_attrs), default=0.0)


def judged_rows(folds: list[Fold]) -> NDArray[np.int64]:
    """Return the numbers of the judged rows, in the order of the folds."""
    return np.concatenate([fold.judged for fold in folds])


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _as_npy(values: Floats) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values.astype(np.float32), allow_pickle=False)
    return buffer.getvalue()
