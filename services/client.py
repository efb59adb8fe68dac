"""A small typed client of the service, over HTTP with one kept connection."""

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from feature_repo.errors import DependencyDown, RequestError
from services.batch_contracts import RankRequest, RankResponse, ScoreBatchRequest, ScoreBatchResponse
from services.contracts import ExplainRequest, ExplainResponse, RequestContext, ScoreRequest, ScoreResponse
from services.event_contracts import (
    EventBody,
    EventsRequest,
    EventsResponse,
    FeedbackRequest,
    FeedbackResponse,
    Outcome,
)
from services.routes import EVENTS, EXPLAIN, FEEDBACK, RANK, SCORE, SCORE_BATCH, Route

__all__ = ["IntentClient"]

M = TypeVar("M", bound=BaseModel)
_IDLE_SECONDS = 2.0
"""A bento that is served by hand closes a connection after 5 s of silence, which is the soonest."""


class IntentClient:
    """Talk to a service at `url`, such as `http://127.0.0.1:3000`; use it in a `with` block.

    Arguments:
        url: of the service.
        timeout_seconds: for a whole request.
        key: an API key, where the service asks for one.

    Raises, from every method:
        RequestError: the service refused the request; the text says what it expected.
        DependencyDown: the service does not answer, is not ready, is overloaded, or its answer is none.
    """

    def __init__(self, url: str, timeout_seconds: float = 10.0, key: str | None = None) -> None:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        # A connection is left before the service closes it as idle: a request sent just then would be lost.
        limits = httpx.Limits(keepalive_expiry=_IDLE_SECONDS)
        # Proxies of the environment are not asked: the service is beside its caller.
        self._http = httpx.Client(
            base_url=url, timeout=timeout_seconds, trust_env=False, headers=headers, limits=limits
        )
        self._url = url

    def __enter__(self) -> "IntentClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def score(
        self,
        user_id: str,
        at: datetime | None = None,
        context: RequestContext | None = None,
        *,
        item_id: str | None = None,
        reasons: bool = False,
    ) -> ScoreResponse:
        """Return the score of one customer (and one item) at `at` (with a zone; None: now)."""
        given = {"user_id": user_id, "at": at, "context": context, "item_id": item_id, "reasons": reasons}
        return self._ask(SCORE, ScoreRequest, given, ScoreResponse)

    def score_batch(self, user_ids: Sequence[str], at: datetime | None = None) -> ScoreBatchResponse:
        """Return the scores of up to 1,000 customers at one moment, in their order."""
        return self._ask(SCORE_BATCH, ScoreBatchRequest, {"user_ids": list(user_ids), "at": at}, ScoreBatchResponse)

    def rank(
        self, user_id: str, item_ids: Sequence[str], at: datetime | None = None, top: int | None = None
    ) -> RankResponse:
        """Return up to 500 items by falling probability that the customer buys them."""
        given = {"user_id": user_id, "item_ids": list(item_ids), "at": at, "top": top}
        return self._ask(RANK, RankRequest, given, RankResponse)

    def explain(self, user_id: str, at: datetime | None = None, *, item_id: str | None = None) -> ExplainResponse:
        """Return why a score is what it is."""
        given = {"user_id": user_id, "at": at, "item_id": item_id}
        return self._ask(EXPLAIN, ExplainRequest, given, ExplainResponse)

    def events(self, events: Sequence[EventBody]) -> EventsResponse:
        """Hand in events; when this returns they are durable. To hand them in again is harmless."""
        return self._ask(EVENTS, EventsRequest, {"events": list(events)}, EventsResponse)

    def feedback(self, outcomes: Sequence[Outcome]) -> FeedbackResponse:
        """Hand in what became of answers."""
        return self._ask(FEEDBACK, FeedbackRequest, {"outcomes": list(outcomes)}, FeedbackResponse)

    def model(self) -> dict[str, Any]:
        """Return what the service says of its model: its tag (`model`), card, metrics, data window, features, slots."""
        told: dict[str, Any] = self._send("GET", "/model").json()
        return told

    def trouble(self) -> str | None:
        """Return why the service is not ready, in its own words, or None if it is; never raises."""
        try:
            self._send("GET", "/readyz")
        except (DependencyDown, RequestError) as error:
            return str(error)
        return None

    def _ask(self, route: Route, request: type[BaseModel], given: dict[str, Any], answer: type[M]) -> M:
        try:
            body = request(**given).model_dump(mode="json", exclude_none=True)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
            raise RequestError(f"Request cannot be sent: {wrong}. Correct these fields.") from None
        content = self._send("POST", route.path, body).content
        try:
            return answer.model_validate_json(content)
        except ValidationError:  # such as the page of a proxy, which wants somebody to log in
            raise DependencyDown(
                f"Service at {self._url} answered POST {route.path} with what is no answer of that route: got "
                f"{len(content)} bytes; expected {answer.__name__} as JSON. See what listens there, and which release."
            ) from None

    def _send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        try:
            answer = self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise DependencyDown(
                f"Service does not answer at {self._url}: got {type(error).__name__}. Start it with `intent serve`."
            ) from error
        if answer.is_success:
            return answer
        text, is_no_fault = _detail(answer), answer.status_code == 429 or answer.is_server_error
        raise DependencyDown(text) if is_no_fault else RequestError(text)


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The service answered {answer.status_code} without saying why; see its log."
