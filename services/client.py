"""A small typed client of the service, over HTTP with one kept connection."""

from datetime import datetime
from types import TracebackType
from typing import Any

import httpx
from pydantic import ValidationError

from feature_repo.errors import DependencyDown, RequestError
from services.contracts import RequestContext, ScoreRequest, ScoreResponse

__all__ = ["IntentClient"]


class IntentClient:
    """Talk to a service at `url`, such as `http://127.0.0.1:3000`; use it in a `with` block.

    Raises, from every method:
        RequestError: the service refused the request; the text says what it expected.
        DependencyDown: the service does not answer, is not ready, or is overloaded.
    """

    def __init__(self, url: str, timeout_seconds: float = 10.0) -> None:
        # Proxies of the environment are not asked: the service is beside its caller.
        self._http = httpx.Client(base_url=url, timeout=timeout_seconds, trust_env=False)
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

    def score(self, user_id: str, at: datetime | None = None, context: RequestContext | None = None) -> ScoreResponse:
        """Return the score of one customer at `at` (with a zone; None: now)."""
        try:
            request = ScoreRequest(user_id=user_id, at=at, context=context)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
            raise RequestError(f"Request cannot be sent: {wrong}. Correct these fields.") from None
        answer = self._send("POST", "/score", request.model_dump(mode="json", exclude_none=True))
        return ScoreResponse.model_validate_json(answer.content)

    def trouble(self) -> str | None:
        """Return why the service is not ready, in its own words, or None if it is; never raises."""
        try:
            self._send("GET", "/readyz")
        except (DependencyDown, RequestError) as error:
            return str(error)
        return None

    def _send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        try:
            answer = self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise DependencyDown(
                f"Service does not answer at {self._url}: got {type(error).__name__}. Start it with `intent serve`."
            ) from error
        if answer.is_success:
            return answer
        text = _detail(answer)
        raise DependencyDown(text) if answer.status_code in (429, 503, 504) else RequestError(text)


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The service answered {answer.status_code} without saying why; see its log."
