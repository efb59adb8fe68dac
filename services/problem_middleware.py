"""Turn every error of the layers below (404, 405, 415, 503 …), and every refusal they raise, into problem+json."""

import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from services.problem_log import PROBLEM_LOG
from services.problems import MEDIA_TYPE, Problem, Refused, problem_for_status

__all__ = ["ProblemMiddleware"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_LONGEST_DETAIL = 2000


class ProblemMiddleware:
    """ASGI middleware: an answer of 400 and above that is not problem+json is replaced by one that is.

    The text of `/readyz` is kept as the detail, for it says why the service is not ready; any other text of the
    server's layers is dropped: it may repeat what was sent. So is the text of an exception.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the request on, and look at the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send, scope["path"])
        try:
            await self.app(scope, receive, answer.send)
        except Refused as refused:
            await answer.give(refused.problem)
        except Exception as error:  # whatever it is, the caller gets an answer, and its text stays here
            if answer.begun:
                raise
            await answer.give(problem_for_status(500), error)


class _Answer:
    __slots__ = ("_body", "_path", "_send", "_start", "begun")

    def __init__(self, send: Send, path: str) -> None:
        self._send = send
        self._path = path
        self._start: Message | None = None
        self._body = b""
        self.begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_foreign_error(message):
            self._start = message
        elif self._start is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")[:_LONGEST_DETAIL]
            if not message.get("more_body", False):
                await self.give(self._problem(self._start))
        else:
            self.begun = True
            await self._send(message)

    async def give(self, problem: Problem, cause: Exception | None = None) -> None:
        request_id = uuid.uuid4().hex
        PROBLEM_LOG.note(problem, request_id, cause)
        body = problem.body(request_id)
        headers = problem.headers() | {"content-length": str(len(body))}
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        self.begun = True
        await self._send({"type": "http.response.start", "status": problem.status, "headers": encoded})
        await self._send({"type": "http.response.body", "body": body})

    def _problem(self, start: Message) -> Problem:
        kept = self._path.endswith("/readyz")
        detail = self._body.decode(errors="replace")[:_LONGEST_DETAIL] if kept else None
        return problem_for_status(start["status"], detail)


def _is_foreign_error(start: Message) -> bool:
    if start["status"] < 400:
        return False
    types = [value for name, value in start.get("headers", ()) if name.lower() == b"content-type"]
    return MEDIA_TYPE.encode() not in types
