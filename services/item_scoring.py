"""One customer and items: look both up, score the pairs, say what the scores rest on: /rank, but for the web."""

import uuid
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json

from services.answer_parts import Note, Views, is_answered, is_cold, is_degraded, note_nothing, shares, view_ages
from services.answer_sinks import AnswerSink, both
from services.batch_contracts import RankRequest, RankResponse
from services.contracts import ExplainRequest, ExplainResponse, ScoreRequest, ScoreResponse
from services.damaged_rows import require_numbers, scored_undamaged
from services.feature_lookup import NOT_KNOWN, FeatureLookup, ViewRows
from services.ranked_items import ranked_items_json
from services.reasons import contributions, reasons
from services.request_reading import microseconds
from services.served_lines import ServedBatch
from training.packaging.bundle import Bundle

if TYPE_CHECKING:  # features of events need Arrow, which a service without a model of items need not load
    from services.item_scorer import ItemScorer, ItemScores

__all__ = ["ItemScoring"]


@dataclass(frozen=True)
class _Crossed:
    """What was looked up of the customer (one row) and of the items (m rows), and what came of it."""

    at: datetime
    keys: Mapping[str, Sequence[str]]
    customer: Views
    items: Views
    scores: "ItemScores"

    def views(self, row: int) -> Views:
        """Return the views of the customer and of one item, that item's in row 0."""
        return {**self.customer, **{name: _row(rows, row) for name, rows in self.items.items()}}


class ItemScoring:
    """A bundle's item part and an online store, together; may be called from several threads."""

    def __init__(
        self,
        part: Bundle,
        scorer: "ItemScorer",
        lookup: FeatureLookup,
        served_log: AnswerSink | None = None,
        note: Note = note_nothing,
    ) -> None:
        """Prepare.

        Args:
            part: of the bundle (training/packaging/item_part.py).
            scorer: of the part.
            lookup: reads the part's views of customers and items.
            served_log: takes what was answered, or None.
            note: is told what every answer rests on.
        """
        self._scorer, self._lookup, self._served_log, self._note = scorer, lookup, served_log, note
        self._tag, self._horizon_days = part.tag, part.horizon_days
        views = part.json("features.json")["views"]
        self._of_items = {name for name, view in views.items() if "item_id" in view["join_keys"]}

    def also_to(self, sink: AnswerSink) -> "ItemScoring":
        """Return the same, whose answers `sink` takes, too."""
        other = copy(self)
        other._served_log = sink if self._served_log is None else both(self._served_log, sink)
        return other

    def rank(self, request: RankRequest, now: datetime) -> RankResponse:
        """Return the items by falling probability; `now` (with a zone) stands in for an `at` that was not given."""
        return RankResponse.model_validate_json(self.rank_json(request, now))

    def rank_json(self, request: RankRequest, now: datetime) -> bytes:
        """Return what `rank` does as its JSON: to make hundreds of objects only to write them takes longer."""
        found = self._crossed(request.user_id, list(request.item_ids), request.at or now)
        faulty = _faulty(found.items)
        request_id = uuid.uuid4().hex
        self._log(found, request_id)
        scores = found.scores
        known = _known(found.items, len(scores.probability))
        items = ranked_items_json(request.item_ids, scores.probability, known, scores.candidate, request.top)
        rest = {
            "views": view_ages(found.customer, 0),
            "items_degraded": faulty,
            "cold_start": is_cold(found.customer, 0),
            "degraded": is_degraded(found.customer, 0) or faulty > 0,
            "model": self._tag,
            "horizon_days": self._horizon_days,
            "at": found.at,
            "request_id": request_id,
        }
        return b'{"items":' + items + b"," + to_json(rest)[1:]

    def answer(self, request: ScoreRequest, now: datetime) -> ScoreResponse:
        """Return the score of the request's customer and item."""
        found = self._crossed(request.user_id, [str(request.item_id)], request.at or now)
        scores, views = found.scores.of(0), found.views(0)
        request_id = uuid.uuid4().hex
        self._log(found, request_id)
        told = reasons(self._scorer.explain(scores)[0], scores.features, found.at) if request.reasons else None
        return ScoreResponse.model_construct(
            probability=float(scores.probability[0]),
            members=shares(scores, self._scorer.weights, 0),
            views=view_ages(views, 0),
            cold_start=is_cold(found.customer, 0),
            degraded=is_degraded(views, 0),
            model=self._tag,
            horizon_days=self._horizon_days,
            at=found.at,
            request_id=request_id,
            reasons=told,
        )

    def explain(self, request: ExplainRequest, now: datetime) -> ExplainResponse:
        """Return why the score of the request's customer and item is what it is."""
        found = self._crossed(request.user_id, [str(request.item_id)], request.at or now)
        scores, views = found.scores.of(0), found.views(0)
        why, methods = self._scorer.explain(scores)
        told = contributions(why, scores.features, found.at)
        return ExplainResponse(
            probability=float(scores.probability[0]),
            log_odds=why.base + sum(one.log_odds for one in told) + why.calibration,
            base=why.base,
            contributions=told,
            calibration=why.calibration,
            methods=methods,
            views=view_ages(views, 0),
            cold_start=is_cold(found.customer, 0),
            degraded=is_degraded(views, 0),
            model=self._tag,
            horizon_days=self._horizon_days,
            at=found.at,
            request_id=uuid.uuid4().hex,
        )

    def _crossed(self, user_id: str, item_ids: Sequence[str], at: datetime) -> _Crossed:
        at_us, keys = microseconds(at), {"user_id": [user_id], "item_id": item_ids}
        found, ids = self._lookup.lookup(keys, at_us), np.array(item_ids, object)
        views, scores = scored_undamaged(found, len(ids), lambda some, rows: self._scores(some, ids[rows], at_us))
        self._note(views, scores.probability)
        return _Crossed(at, keys, *self._parted(views), scores)

    def _scores(self, views: Views, item_ids: NDArray[np.object_], at_us: int) -> "ItemScores":
        customer, items = self._parted(views)
        known = {field: column for rows in customer.values() for field, column in rows.columns.items()}
        of_items = {field: column for rows in items.values() for field, column in rows.columns.items()}
        of_items["item_id"] = item_ids
        scores = self._scorer.cross(known, of_items, at_us)
        require_numbers(scores.probability)
        return scores

    def _parted(self, views: Views) -> tuple[Views, Views]:
        """Return the views of the customer, and those of the items."""
        customer = {name: rows for name, rows in views.items() if name not in self._of_items}
        return customer, {name: rows for name, rows in views.items() if name in self._of_items}

    def _log(self, found: _Crossed, request_id: str) -> None:
        if self._served_log is not None:
            self._served_log.offer(_batch(found, request_id, self._tag))


def _batch(found: _Crossed, request_id: str, model: str) -> ServedBatch:
    """Return what the served log keeps: views as the model saw them, each customer's once for all items."""
    views = {**found.customer, **found.items}
    return ServedBatch(
        request_id=request_id,
        at_us=microseconds(found.at),
        keys=found.keys,
        model=model,
        columns={name: rows.columns for name, rows in views.items()},
        status={name: rows.status for name, rows in views.items()},
        age_seconds={name: rows.age_seconds for name, rows in views.items()},
        probability=found.scores.probability,
        answered=is_answered(views),
    )


def _known(items: Views, count: int) -> NDArray[np.bool_]:
    """Say of which items some view has something that may be used."""
    if any(rows.all_fresh for rows in items.values()):
        return np.ones(count, np.bool_)
    return np.logical_or.reduce([rows.status == "fresh" for rows in items.values()])


def _faulty(items: Views) -> int:
    """Say of how many items a better answer exists."""
    told = [rows.reason.tolist() for rows in items.values() if not rows.all_fresh]
    return sum(any(why is not None and why not in NOT_KNOWN for why in row) for row in zip(*told, strict=True))


def _row(rows: ViewRows, row: int) -> ViewRows:
    chosen = slice(row, row + 1)
    return ViewRows({}, rows.status[chosen], rows.reason[chosen], rows.age_seconds[chosen])
