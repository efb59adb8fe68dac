"""Every route of the service in one table: its body and answer, how large the body may be, and which right it needs."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from services.contracts import ScoreRequest, ScoreResponse

__all__ = ["BATCH_BYTES", "BODY_BYTES", "ROUTES", "SCORE", "Route", "Scope"]

BODY_BYTES = 64 * 1024
BATCH_BYTES = 1024 * 1024
Scope = Literal["score", "events", "admin"]


@dataclass(frozen=True)
class Route:
    """One POST route.

    Attributes:
        path: where it is.
        scope: which right of an API key it needs.
        request: the model of its body; its first example can be sent as it is.
        response: the model of its answer.
        body_bytes: the largest body.
    """

    path: str
    scope: Scope
    request: type[BaseModel]
    response: type[BaseModel]
    body_bytes: int = BODY_BYTES


SCORE = Route("/score", "score", ScoreRequest, ScoreResponse)

ROUTES = (SCORE,)
