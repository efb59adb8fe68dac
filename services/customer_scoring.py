"""Look up one customer, score it, and say what the score rests on: everything of `/score` but the web."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import DependencyDown
from services.contracts import MemberShare, ScoreRequest, ScoreResponse, ViewAge
from services.feature_lookup import FeatureLookup, ViewStatus, empty_column, read_view_schemas, usable_columns
from services.request_reading import microseconds
from services.scoring import Scorer, Scores
from training.packaging.bundle import Bundle

__all__ = ["CustomerScoring"]


@dataclass(frozen=True)
class _Found:
    """Scores of n customers, each view's status, and who is not known at all (bool, shape (n,))."""

    scores: Scores
    views: dict[str, ViewStatus]
    cold_start: NDArray[np.bool_]
    store_answered: bool = True


class CustomerScoring:
    """A bundle and an online store, together; may be called from several threads."""

    def __init__(self, bundle: Bundle, scorer: Scorer, lookup: FeatureLookup) -> None:
        self._bundle = bundle
        self._scorer = scorer
        self._lookup = lookup
        self._schemas = read_view_schemas(bundle.json("features.json"))
        self._store_was_there = False

    def trouble(self) -> str | None:
        """Return why no customer can be scored just now, or None."""
        reason = self._lookup.trouble()
        self._store_was_there |= reason is None
        return reason

    def answer(self, request: ScoreRequest, now: datetime) -> ScoreResponse:
        """Return the answer to one request; `now` (with a zone) stands in for an `at` that was not given.

        A store that fails after it was there gives the answer without features, marked `degraded`.

        Raises:
            DependencyDown: the store was never there.
        """
        at = request.at or now
        try:
            found = self._known([request.user_id], microseconds(at))
        except DependencyDown:
            if not self._store_was_there:
                raise
            found = self._unknown(1, microseconds(at))
        return self._response(found, at)

    def _known(self, user_ids: Sequence[str], at_us: int) -> _Found:
        columns, views = usable_columns(self._schemas, self._lookup.lookup(user_ids), at_us)
        self._store_was_there = True
        scores = self._scorer.score(columns, np.full(len(user_ids), at_us, np.int64))
        missing = [view.status == "missing" for view in views.values()]
        return _Found(scores, views, np.all(missing, axis=0))

    def _unknown(self, n: int, at_us: int) -> _Found:
        columns = {field: empty_column(kind, n) for s in self._schemas for field, kind in s.fields.items()}
        nothing = ViewStatus(np.full(n, "missing", object), np.full(n, np.nan))
        scores = self._scorer.score(columns, np.full(n, at_us, np.int64))
        views = {schema.name: nothing for schema in self._schemas}
        return _Found(scores, views, np.zeros(n, np.bool_), store_answered=False)

    def _response(self, found: _Found, at: datetime) -> ScoreResponse:
        weights = self._scorer.weights
        views = {
            name: ViewAge(status=v.status[0], age_seconds=None if np.isnan(v.age_seconds[0]) else v.age_seconds[0])
            for name, v in found.views.items()
        }
        return ScoreResponse(
            probability=float(found.scores.probability[0]),
            members={
                name: MemberShare(probability=float(values[0]), weight=weights[name])
                for name, values in found.scores.members.items()
            },
            views=views,
            cold_start=bool(found.cold_start[0]),
            degraded=not found.store_answered or any(view.status == "stale" for view in views.values()),
            model=self._bundle.tag,
            horizon_days=self._bundle.horizon_days,
            at=at,
            request_id=uuid.uuid4().hex,
        )
