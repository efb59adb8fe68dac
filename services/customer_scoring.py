"""Look up customers, score them, and say what the scores rest on: the customers' routes, but for the web."""

import uuid
from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from services.answer_parts import (
    Note,
    Scored,
    Views,
    is_cold,
    is_degraded,
    logs_inputs,
    note_nothing,
    served_batch,
    shares,
    view_ages,
)
from services.answer_sinks import AnswerSink
from services.batch_contracts import CustomerScore, ScoreBatchResponse
from services.contracts import Contribution, ExplainRequest, ExplainResponse, ScoreRequest, ScoreResponse
from services.damaged_rows import require_numbers, scored_undamaged
from services.feature_lookup import FeatureLookup
from services.item_scoring import ItemScoring
from services.reasons import contributions, reasons
from services.request_reading import microseconds
from services.scoring import Scorer, Scores
from training.packaging.bundle import Bundle

__all__ = ["CustomerScoring", "joined"]


class CustomerScoring:
    """A bundle and an online store, together; may be called from several threads.

    A store that does not answer gives scores without features, marked `degraded`, and so does a row that no score can
    be made of. `items` answers about a customer and an item, where the bundle has a model of items; `note` is told what
    every answer rests on.
    """

    def __init__(
        self,
        bundle: Bundle,
        scorer: Scorer,
        lookup: FeatureLookup,
        served_log: AnswerSink | None = None,
        items: ItemScoring | None = None,
        note: Note = note_nothing,
    ) -> None:
        self.items = items
        self._note = note
        self._bundle = bundle
        self._scorer = scorer
        self._lookup = lookup
        self._served_log = served_log
        self._tag, self._horizon_days = bundle.tag, bundle.horizon_days

    def trouble(self) -> str | None:
        """Return why the store cannot be read just now, or None."""
        return self._lookup.trouble()

    def answer(self, request: ScoreRequest, now: datetime) -> ScoreResponse:
        """Return the answer to one request; `now` (with a zone) stands in for an `at` that was not given."""
        return self.answer_together([request], now)[0]

    def answer_together(self, requests: Sequence[ScoreRequest], now: datetime) -> list[ScoreResponse]:
        """Return the answers to requests that came at the same time: those of one moment share a read and a run."""
        by_moment: dict[datetime, list[int]] = {}
        for place, request in enumerate(requests):
            by_moment.setdefault(request.at or now, []).append(place)
        answers: list[ScoreResponse | None] = [None] * len(requests)
        for at, places in by_moment.items():
            scored = self._scored([requests[place].user_id for place in places], at)
            for row, place in enumerate(places):
                one = scored if len(places) == 1 else None
                answers[place] = self._answer(scored, row, requests[place].reasons, one)
        return [answer for answer in answers if answer is not None]

    def answer_batch(
        self, user_ids: list[str], at: datetime, request_id: str, of: int | None = None
    ) -> ScoreBatchResponse:
        """Return the scores of many customers at one moment, read and run at once.

        `of` is how many customers the request asked about, where other models answer for some; None: these are all.
        """
        scored = self._scored(user_ids, at)
        self._log(scored, request_id, of)
        members = {name: values.tolist() for name, values in scored.scores.members.items()}
        rows = [
            CustomerScore.model_construct(
                user_id=user_id,
                probability=probability,
                members={name: values[row] for name, values in members.items()},
                views=view_ages(scored.views, row),
                cold_start=is_cold(scored.views, row),
                degraded=is_degraded(scored.views, row),
                model=self._tag,
            )
            for row, (user_id, probability) in enumerate(zip(user_ids, scored.scores.probability.tolist(), strict=True))
        ]
        return ScoreBatchResponse.model_construct(
            scores=rows,
            weights={self._tag: self._scorer.weights},
            degraded=any(row.degraded for row in rows),
            horizon_days=self._horizon_days,
            at=at,
            request_id=request_id,
        )

    def explain(self, request: ExplainRequest, now: datetime) -> ExplainResponse:
        """Return why a customer's score is what it is."""
        scored = self._scored([request.user_id], request.at or now)
        found, methods = self._scorer.explain(scored.scores)
        told = contributions(found, scored.scores.features, scored.at)
        return ExplainResponse(
            probability=float(scored.scores.probability[0]),
            log_odds=found.base + sum(one.log_odds for one in told) + found.calibration,
            base=found.base,
            contributions=told,
            calibration=found.calibration,
            methods=methods,
            views=view_ages(scored.views, 0),
            cold_start=is_cold(scored.views, 0),
            degraded=is_degraded(scored.views, 0),
            model=self._tag,
            horizon_days=self._horizon_days,
            at=scored.at,
            request_id=uuid.uuid4().hex,
        )

    def close(self) -> None:
        """Write what waits to be logged."""
        if self._served_log is not None:
            self._served_log.close()

    def _scored(self, user_ids: list[str], at: datetime) -> Scored:
        at_us = microseconds(at)
        moments = np.full(len(user_ids), at_us, np.int64)
        found = self._lookup.lookup({"user_id": user_ids}, at_us)
        views, scores = scored_undamaged(found, len(user_ids), lambda some, rows: self._scores(some, moments[rows]))
        self._note(views, scores.probability)
        return Scored(user_ids, at, views, scores)

    def _scores(self, views: Views, moments: NDArray[np.int64]) -> Scores:
        columns = {field: column for rows in views.values() for field, column in rows.columns.items()}
        scores = self._scorer.score(columns, moments)
        require_numbers(scores.probability)
        return scores

    def _answer(self, scored: Scored, row: int, with_reasons: bool, alone: Scored | None) -> ScoreResponse:
        request_id, told = uuid.uuid4().hex, None
        if with_reasons or self._served_log is not None:
            alone = alone or scored.take(row)
            self._log(alone, request_id)
            told = self._reasons(alone) if with_reasons else None
        return ScoreResponse.model_construct(
            probability=float(scored.scores.probability[row]),
            members=shares(scored.scores, self._scorer.weights, row),
            views=view_ages(scored.views, row),
            cold_start=is_cold(scored.views, row),
            degraded=is_degraded(scored.views, row),
            model=self._tag,
            horizon_days=self._horizon_days,
            at=scored.at,
            request_id=request_id,
            reasons=told,
        )

    def _reasons(self, scored: Scored) -> list[Contribution]:
        return reasons(self._scorer.explain(scored.scores)[0], scored.scores.features, scored.at)

    def _log(self, scored: Scored, request_id: str, of: int | None = None) -> None:
        if self._served_log is not None:
            inputs = logs_inputs(self._scorer.making)
            self._served_log.offer(served_batch(scored, request_id, self._tag, of, inputs=inputs))


def joined(parts: Sequence[ScoreBatchResponse], user_ids: Sequence[str]) -> ScoreBatchResponse:
    """Return the answers of several models to one request as one, in the order of `user_ids`.

    Models that share customers have one horizon: see `split_horizon`.
    """
    found = {score.user_id: score for part in parts for score in part.scores}
    return parts[0].model_copy(
        update={
            "scores": [found[user_id] for user_id in user_ids],
            "weights": {tag: weights for part in parts for tag, weights in part.weights.items()},
            "degraded": any(part.degraded for part in parts),
        }
    )
