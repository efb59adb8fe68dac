"""The parts that answers share: ages of views, what is known at all, and what is logged of an answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from services.contracts import MemberShare, Reason, ViewAge
from services.feature_lookup import NOT_KNOWN, ViewRows
from services.request_reading import microseconds
from services.scoring import Scores
from services.served_lines import MODEL_INPUTS, ServedBatch, model_input_columns
from training.packaging.feature_making import FeatureMaking

__all__ = [
    "Note",
    "Scored",
    "Views",
    "is_answered",
    "is_cold",
    "is_degraded",
    "logs_inputs",
    "note_nothing",
    "served_batch",
    "shares",
    "view_ages",
]

_SAID: dict[str, Reason] = {reason: reason for reason in get_args(Reason)}
Views = Mapping[str, ViewRows]
Note = Callable[[Views, NDArray[np.float64]], None]
"""Is told of answers: the views that they rest on, and the probabilities."""


@dataclass(frozen=True)
class Scored:
    """n customers at one moment: what was looked up, and what came of it."""

    user_ids: list[str]
    at: datetime
    views: Views
    scores: Scores

    def take(self, row: int) -> "Scored":
        """Return one of the customers alone."""
        rows = np.array([row])
        scores = self.scores
        return Scored(
            [self.user_ids[row]],
            self.at,
            {name: view.take(rows) for name, view in self.views.items()},
            Scores(
                scores.probability[rows], {n: p[rows] for n, p in scores.members.items()}, scores.features.take(rows)
            ),
        )


def note_nothing(_views: Views, _probability: NDArray[np.float64]) -> None:
    """Keep no figures."""


def view_ages(views: Views, row: int) -> dict[str, ViewAge]:
    """Return the state of each view for one customer."""
    return {name: _view_age(rows, row) for name, rows in views.items()}


def is_cold(views: Views, row: int) -> bool:
    """Whether nothing is known of a customer."""
    return all(rows.reason[row] in NOT_KNOWN for rows in views.values())


def is_degraded(views: Views, row: int) -> bool:
    """Whether a better answer exists: the store did not answer, or a view is stale or unreadable."""
    return any(rows.reason[row] is not None and rows.reason[row] not in NOT_KNOWN for rows in views.values())


def is_answered(views: Views) -> bool:
    """Whether the store answered at all."""
    reasons = {reason for rows in views.values() for reason in rows.reason.tolist()}
    return all(reason is None or reason in _SAID for reason in reasons)


def shares(scores: Scores, weights: Mapping[str, float], row: int) -> dict[str, MemberShare]:
    """Return each member's own probability of one customer, with its weight."""
    return {
        name: MemberShare.model_construct(probability=float(values[row]), weight=weights[name])
        for name, values in scores.members.items()
    }


def logs_inputs(making: FeatureMaking) -> bool:
    """Whether the served log keeps what models were given, too: not where events alone make hundreds of numbers."""
    return not making.reads_events


def served_batch(scored: Scored, request_id: str, model: str, of: int | None = None, *, inputs: bool) -> ServedBatch:
    """Return what the served log keeps of answers; `of` is how many the request had, None: these are all.

    With `inputs` what the models were given stands beside the views' columns.
    """
    views = scored.views
    columns: dict[str, Any] = {name: rows.columns for name, rows in views.items()}
    if inputs:
        columns[MODEL_INPUTS] = model_input_columns(scored.scores.features)
    return ServedBatch(
        request_id=request_id,
        at_us=microseconds(scored.at),
        keys={"user_id": scored.user_ids},
        model=model,
        columns=columns,
        status={name: rows.status for name, rows in views.items()},
        age_seconds={name: rows.age_seconds for name, rows in views.items()},
        probability=scored.scores.probability,
        answered=is_answered(views),
        of=of,
    )


def _view_age(rows: ViewRows, row: int) -> ViewAge:
    age, reason = float(rows.age_seconds[row]), rows.reason[row]
    # Why a store gave no answer is for its operator (/readyz): it may name hosts and paths.
    said = None if reason is None else _SAID.get(reason, "no answer")
    known = None if age != age else age  # only NaN differs from itself
    return ViewAge.model_construct(status=rows.status[row], reason=said, age_seconds=known)
