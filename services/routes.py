"""Every POST route in one table: its body and answer, how large the body may be, and which right it needs."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from services.batch_contracts import RankRequest, RankResponse, ScoreBatchRequest, ScoreBatchResponse
from services.contracts import ExplainRequest, ExplainResponse, ScoreRequest, ScoreResponse
from services.event_contracts import EventsRequest, EventsResponse, FeedbackRequest, FeedbackResponse

__all__ = [
    "BATCH_BYTES",
    "BODY_BYTES",
    "EVENTS",
    "EXPLAIN",
    "FEEDBACK",
    "RANK",
    "ROUTES",
    "SCORE",
    "SCORE_BATCH",
    "Route",
    "Scope",
]

BODY_BYTES = 64 * 1024
BATCH_BYTES = 1024 * 1024
Scope = Literal["score", "events", "admin"]


@dataclass(frozen=True)
class Route:
    """One POST route.

    Attributes:
        path: where it is.
        scope: which right of an API key it needs.
        request: the model of its body; its example can be sent as it is.
        response: the model of its answer.
        body_bytes: the largest body.
    """

    path: str
    scope: Scope
    request: type[BaseModel]
    response: type[BaseModel]
    body_bytes: int = BODY_BYTES


SCORE = Route("/score", "score", ScoreRequest, ScoreResponse)
SCORE_BATCH = Route("/score_batch", "score", ScoreBatchRequest, ScoreBatchResponse, BATCH_BYTES)
RANK = Route("/rank", "score", RankRequest, RankResponse, BATCH_BYTES)
EXPLAIN = Route("/explain", "score", ExplainRequest, ExplainResponse)
EVENTS = Route("/events", "events", EventsRequest, EventsResponse, BATCH_BYTES)
FEEDBACK = Route("/feedback", "events", FeedbackRequest, FeedbackResponse, BATCH_BYTES)

ROUTES = (SCORE, SCORE_BATCH, RANK, EXPLAIN, EVENTS, FEEDBACK)
