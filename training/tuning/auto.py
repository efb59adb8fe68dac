"""Choose members and their settings together: time goes, round by round, to those that still matter.

Every member is judged with its defaults first, and cut off when the time is over, all but the first that can be fitted:
the whole takes longer than its time by that one's defaults at most. Each round then shares its time equally among the
members that are left; after it those stay that rank in the better half, or that enter the mean of all (they help the
others). What is chosen at last is the set that enters that mean, each with its best settings where these are better
beyond the noise.

Source: successive halving, Jamieson & Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter
optimization"; members entering a mean one by one, Caruana et al. 2004, "Ensemble selection from libraries of models".
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.errors import InputError
from training.ensemble.combine import combine
from training.ensemble.fit_weights import fit_weights
from training.ensemble.forward_predictions import Forward
from training.progress import Task
from training.tuning.own_process import CutByBudget, TrialFailed
from training.tuning.queue import default_trial
from training.tuning.record import StudyRecord
from training.tuning.scores import anchor_scores, compare
from training.tuning.trials import Budget, Trials, judged_rows

__all__ = ["AutoRecord", "Contender", "require_time", "spend", "tune_together"]

ROUNDS = 3


@dataclass(frozen=True)
class Contender:
    """One member in the race: its study, its trials, and what makes a record of both."""

    name: str
    study: Any
    trials: Trials
    record: Callable[[], StudyRecord]


def require_time(budget: Budget) -> None:
    """Refuse a budget of trials alone.

    Raises:
        InputError: it has no seconds.
    """
    if budget.seconds is None:
        raise InputError("Tuning members together needs a time; got none. Say how long, such as --budget 30m.")


@dataclass(frozen=True)
class AutoRecord:
    """What came of it. `left_out`: members whose defaults could not be judged before the time was over. `failed`:
    member → why it could not be fitted with them, such as for lack of memory; the others went on without it.

    `rounds`: the members that each round went to. `chosen`: those that enter the mean. `ensemble` and `best_member`:
    mean scores of that mean and of the best member alone; `difference` and `standard_error` of the first minus the
    second over the same anchors.
    """

    studies: dict[str, StudyRecord]
    rounds: tuple[tuple[str, ...], ...]
    chosen: tuple[str, ...]
    left_out: tuple[str, ...]
    failed: dict[str, str]
    best_member: str
    best: float
    ensemble: float
    difference: float
    standard_error: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-able data, without the single trials."""
        studies = {name: {**study.to_json(), "trials": len(study.trials)} for name, study in self.studies.items()}
        return {**self.__dict__, "studies": studies}


def spend(one: Contender, seconds: float, task: Task) -> None:
    """Run trials of `one` for so many seconds."""
    one.trials.run(one.study, Budget(trials=None, seconds=seconds), task)


def tune_together(
    contenders: Sequence[Contender],
    budget: Budget,
    task: Task,
    how: Callable[[Contender, float, Task], None] = spend,
) -> AutoRecord:
    """Spend the budget's seconds on `contenders`, and return what to fit; trials of earlier calls count.

    Members whose defaults do not fit into what is left of the time are left out.

    `how` spends a member's share of a round.

    Raises:
        InputError: the budget has no seconds, there is no member, or what a trial predicted is not kept here.
        TrialFailed: no member can be fitted with its defaults.
    """
    require_time(budget)
    ends = budget.deadline(time.monotonic())
    reached, failed = _with_defaults(contenders, ends, task)
    rounds, left = [], [one for one in reached if one.trials.space]
    for number in range(ROUNDS):
        share = max(ends - time.monotonic(), 0.0) / (ROUNDS - number) / max(len(left), 1)
        if not left or share <= 0.0:
            break
        rounds.append(tuple(one.name for one in left))
        for one in left:
            how(one, share, task)
        left = _those_that_matter(left, reached)
    left_out = tuple(one.name for one in contenders if one not in reached and one.name not in failed)
    return _outcome(reached, tuple(rounds), left_out, failed)


def _with_defaults(contenders: Sequence[Contender], ends: float, task: Task) -> tuple[list[Contender], dict[str, str]]:
    """Judge each member with its defaults while there is time; return those that were, and why others cannot be fitted.

    Without any there would be nothing to tell, so the first has all the time that it takes.
    """
    reached: list[Contender] = []
    failed: dict[str, str] = {}
    for one in contenders:
        if not reached or time.monotonic() < ends or default_trial(one.study) is not None:
            try:
                by = ends if reached else float("inf")
                one.trials.run(one.study, Budget(trials=0, seconds=None), task, by)  # the defaults alone
            except TrialFailed as problem:
                failed[one.name] = str(problem)
            except CutByBudget:
                pass  # left out: said by its absence
            else:
                reached.append(one)
    if failed and not reached:
        raise TrialFailed(" ".join(failed.values()))
    if not reached:
        raise InputError("There is no member to tune; expected at least one. Name members that answer this task.")
    return reached, failed


def _those_that_matter(left: list[Contender], reached: list[Contender]) -> list[Contender]:
    by_score = sorted(left, key=lambda one: one.study.best_value)
    better_half = {one.name for one in by_score[: -(-len(left) // 2)]}
    helpful = set(_entered(_forward(reached, {one.name: one.study.best_trial for one in reached})))
    return [one for one in left if one.name in better_half | helpful]


def _entered(forward: Forward) -> tuple[str, ...]:
    return fit_weights("mean", forward).used


def _forward(reached: list[Contender], trials: dict[str, Any]) -> Forward:
    """Return what the given trial of each member predicted for the judged anchors."""
    first = reached[0].trials
    rows = judged_rows(first.folds)
    probabilities = {one.name: one.trials.predicted(trials[one.name]) for one in reached}
    examples = first.examples
    return Forward(examples.user_id[rows], examples.anchor_us[rows], examples.label[rows], probabilities)


def _outcome(
    reached: list[Contender], rounds: tuple[tuple[str, ...], ...], left_out: tuple[str, ...], failed: dict[str, str]
) -> AutoRecord:
    studies = {one.name: one.record() for one in reached}
    best_trials = {
        one.name: one.study.best_trial if studies[one.name].better else default_trial(one.study) for one in reached
    }
    forward = _forward(reached, best_trials)
    ensemble = fit_weights("mean", forward)
    metric = reached[0].trials.metric
    scores = {
        name: anchor_scores(metric, p, forward.label, forward.anchor_us) for name, p in forward.probabilities.items()
    }
    best = min(scores, key=lambda name: float(scores[name].mean()))
    together = anchor_scores(metric, combine(ensemble, forward.probabilities), forward.label, forward.anchor_us)
    difference, error = compare(together, scores[best], forward.user_id, forward.anchor_us)
    return AutoRecord(
        studies=studies,
        rounds=rounds,
        chosen=ensemble.used,
        left_out=left_out,
        failed=failed,
        best_member=best,
        best=float(scores[best].mean()),
        ensemble=float(together.mean()),
        difference=difference,
        standard_error=error if np.isfinite(error) else None,
    )
