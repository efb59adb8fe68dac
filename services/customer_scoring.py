"""Look up one customer, score it, and say what the score rests on: everything of `/score` but the web."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import get_args

import numpy as np

from services.contracts import MemberShare, Reason, ScoreRequest, ScoreResponse, ViewAge
from services.feature_lookup import NOT_KNOWN, FeatureLookup, ViewRows
from services.request_reading import microseconds
from services.scoring import Scorer, Scores
from services.served_lines import MODEL_INPUTS, ServedBatch, model_input_columns
from services.served_log import ServedLog
from training.packaging.bundle import Bundle

__all__ = ["CustomerScoring"]

_SAID: dict[str, Reason] = {reason: reason for reason in get_args(Reason)}


class CustomerScoring:
    """A bundle and an online store, together; may be called from several threads."""

    def __init__(
        self, bundle: Bundle, scorer: Scorer, lookup: FeatureLookup, served_log: ServedLog | None = None
    ) -> None:
        self._bundle = bundle
        self._scorer = scorer
        self._lookup = lookup
        self._served_log = served_log

    def trouble(self) -> str | None:
        """Return why the store cannot be read just now, or None."""
        return self._lookup.trouble()

    def answer(self, request: ScoreRequest, now: datetime) -> ScoreResponse:
        """Return the answer to one request; `now` (with a zone) stands in for an `at` that was not given.

        A store that does not answer gives a score without features, marked `degraded`.
        """
        at = request.at or now
        views = self._lookup.lookup({"user_id": [request.user_id]}, microseconds(at))
        columns = {field: column for rows in views.values() for field, column in rows.columns.items()}
        scores = self._scorer.score(columns, np.array([microseconds(at)], np.int64))
        answer = self._response(scores, views, at)
        if self._served_log is not None:
            self._served_log.offer(_served(request.user_id, answer, views, scores))
        return answer

    def close(self) -> None:
        """Write what waits to be logged."""
        if self._served_log is not None:
            self._served_log.close()

    def _response(self, scores: Scores, views: Mapping[str, ViewRows], at: datetime) -> ScoreResponse:
        weights = self._scorer.weights
        reasons = [rows.reason[0] for rows in views.values()]
        return ScoreResponse(
            probability=float(scores.probability[0]),
            members={
                name: MemberShare(probability=float(values[0]), weight=weights[name])
                for name, values in scores.members.items()
            },
            views={name: _view_age(rows) for name, rows in views.items()},
            cold_start=all(reason in NOT_KNOWN for reason in reasons),
            degraded=any(reason is not None and reason not in NOT_KNOWN for reason in reasons),
            model=self._bundle.tag,
            horizon_days=self._bundle.horizon_days,
            at=at,
            request_id=uuid.uuid4().hex,
        )


def _served(user_id: str, answer: ScoreResponse, views: Mapping[str, ViewRows], scores: Scores) -> ServedBatch:
    reasons = [rows.reason[0] for rows in views.values()]
    columns = {name: rows.columns for name, rows in views.items()}
    return ServedBatch(
        request_id=answer.request_id,
        at_us=microseconds(answer.at),
        keys={"user_id": [user_id]},
        model=answer.model,
        columns=columns | {MODEL_INPUTS: model_input_columns(scores.features)},
        status={name: rows.status for name, rows in views.items()},
        age_seconds={name: rows.age_seconds for name, rows in views.items()},
        probability=scores.probability,
        answered=all(reason is None or reason in _SAID for reason in reasons),
    )


def _view_age(rows: ViewRows) -> ViewAge:
    age, reason = rows.age_seconds[0], rows.reason[0]
    # Why a store gave no answer is for its operator (/readyz): it may name hosts and paths.
    said = None if reason is None else _SAID.get(reason, "no answer")
    return ViewAge(status=rows.status[0], reason=said, age_seconds=None if np.isnan(age) else float(age))
