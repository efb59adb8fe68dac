"""What a connection may cost before a request is complete: for the server's own layer, which no middleware sees.

uvicorn closes a kept connection that is idle, but waits for ever for the rest of a request's head, keeps whatever is
sent as one, and answers what is not HTTP in plain text. The server that runs us is told to use connections that do not.
"""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

from services.concurrency_limit import PLACE, REFUSAL_SECONDS
from services.problems import MEDIA_TYPE, Problem, problem_for_status
from services.turnstile import Turnstile

__all__ = ["HEAD_SECONDS", "MOST_CONNECTIONS", "MOST_HEAD_BYTES", "bound_connections", "bounded"]

HEAD_SECONDS = 5.0
MOST_HEAD_BYTES = 32 * 1024
MOST_CONNECTIONS = 1000
_REASONS = {400: b"Bad Request", 429: b"Too Many Requests", 431: b"Request Header Fields Too Large"}


def bound_connections(receive: Any, turnstile: Turnstile) -> None:
    """Bound the connections of the uvicorn whose lifespan's `receive` this is; of another server nothing is changed.

    It is called while the server starts: its connections are made by the class that its configuration names then.
    They ask `turnstile` before they parse.
    """
    config = getattr(getattr(receive, "__self__", None), "config", None)
    protocol = getattr(config, "http_protocol_class", None)
    if config is not None and isinstance(protocol, type) and not issubclass(protocol, _BoundedConnection):
        config.http_protocol_class = bounded(protocol, turnstile)
        config.ws_protocol_class = None  # no route speaks it


def bounded(protocol: type[Any], turnstile: Turnstile) -> type[Any]:
    """Return a uvicorn protocol of the same kind, bounded."""
    return type(f"Bounded{protocol.__name__}", (_BoundedConnection, protocol), {"_turnstile": turnstile})


class _BoundedConnection:
    """Put before a uvicorn protocol. While no answer is owed, the head of the next request must come, and end, soon."""

    # What the protocols of uvicorn have, whichever parses.
    loop: asyncio.AbstractEventLoop
    transport: Any
    cycle: Any
    scope: Any
    connections: set[Any]

    _turnstile: Turnstile
    _head_bytes = 0
    _overdue: asyncio.TimerHandle | None = None
    _unset_keepalive_if_required: Callable[[], None]

    def connection_made(self, transport: Any) -> None:
        """Begin, unless there are too many."""
        super().connection_made(transport)  # type: ignore[misc]
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(problem_for_status(429, "More connections are open than allowed. Try again shortly."))
        else:
            self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take what came: a whole request if there is a place for it, and anything else as it is."""
        path = self._turnstile.needs_place(data) if self._is_between_requests() else None
        if path is None:
            self._parse(data)
        elif (place := self._turnstile.enter()) is None:
            self._turn_away(path)
        else:
            before = self.cycle
            self._parse(data)
            if self.cycle is before:  # it was no request after all, and has its answer
                place.give_back()
            else:
                self.cycle.scope[PLACE] = place

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._forget()
        super().connection_lost(exc)  # type: ignore[misc]

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP; `msg` is uvicorn's text for it."""
        self._refuse(problem_for_status(400, "This is not an HTTP/1.1 request. Send one, with JSON for its body."))

    def _is_between_requests(self) -> bool:
        # More of an answered request may be to come, and who does not read what was written is not written to.
        is_answered = self.cycle is None or (self.cycle.response_complete and not self.cycle.more_body)
        return is_answered and not self._head_bytes and not self.transport.get_write_buffer_size()

    def _parse(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)  # type: ignore[misc]
        # Whether it ended a head.
        if self.cycle is not before:
            self._head_bytes = 0
            self._forget()
        elif before is None or before.response_complete:
            self._still_waiting(before, len(data))

    def _turn_away(self, path: str) -> None:
        self._forget()
        self._unset_keepalive_if_required()
        self.transport.pause_reading()
        self.loop.call_later(REFUSAL_SECONDS, self._say_that_all_is_taken, path)

    def _say_that_all_is_taken(self, path: str) -> None:
        if not self.transport.is_closing():
            self.transport.write(self._turnstile.refusal(path))
            self.transport.resume_reading()
            self._await_head()

    def _still_waiting(self, before: Any, size: int) -> None:
        if self._overdue is None:
            self._await_head()
        # After an answer that did not wait for its body the rest of that is still coming, and is thrown away.
        if before is None or self.scope is not before.scope:
            self._head_bytes += size
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(problem_for_status(431))

    def _await_head(self) -> None:
        self._overdue = self.loop.call_later(HEAD_SECONDS, self._close)

    def _close(self) -> None:
        self._overdue = None
        if not self.transport.is_closing():
            self.transport.close()

    def _forget(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _refuse(self, problem: Problem) -> None:
        body = problem.body(uuid.uuid4().hex)
        again = b"" if problem.retry_after is None else b"retry-after: %d\r\n" % problem.retry_after
        self.transport.write(
            b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\n%scontent-length: %d\r\nconnection: close\r\n\r\n%s"
            % (problem.status, _REASONS[problem.status], MEDIA_TYPE.encode(), again, len(body), body)
        )
        self.transport.close()
