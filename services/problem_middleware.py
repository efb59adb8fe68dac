"""Turn every error that the server's own layers answer (404, 405, 415, 503 …) into problem+json."""

import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from services.problems import MEDIA_TYPE, problem_for_status

__all__ = ["ProblemMiddleware"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_LONGEST_DETAIL = 2000


class ProblemMiddleware:
    """ASGI middleware: an answer of 400 and above that is not problem+json is replaced by one that is.

    The text of `/readyz` is kept as the detail, for it says why the service is not ready; any other text of the
    server's layers is dropped: it may repeat what was sent.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the request on, and look at the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send, keep_text=scope["path"].endswith("/readyz"))
        await self.app(scope, receive, answer.send)


class _Answer:
    def __init__(self, send: Send, keep_text: bool) -> None:
        self._send = send
        self._keep_text = keep_text
        self._status = 0
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_foreign_error(message):
            self._status = message["status"]
        elif self._status and message["type"] == "http.response.body":
            self._body += message.get("body", b"")[:_LONGEST_DETAIL]
            if not message.get("more_body", False):
                await self._replace()
        else:
            await self._send(message)

    async def _replace(self) -> None:
        detail = self._body.decode(errors="replace")[:_LONGEST_DETAIL] if self._keep_text else None
        problem = problem_for_status(self._status, detail)
        body = problem.body(uuid.uuid4().hex)
        headers = problem.headers() | {"content-length": str(len(body))}
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": self._status, "headers": encoded})
        await self._send({"type": "http.response.body", "body": body})


def _is_foreign_error(start: Message) -> bool:
    if start["status"] < 400:
        return False
    types = [value for name, value in start.get("headers", ()) if name.lower() == b"content-type"]
    return MEDIA_TYPE.encode() not in types
