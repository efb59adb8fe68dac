"""What a connection may cost before a request is complete: for the server's own layer, which no middleware sees.

uvicorn closes a kept connection that is idle, but waits for ever for the rest of a request's head, keeps whatever is
sent as one, and answers what is not HTTP in plain text. The server that runs us is told to use connections that do not.
"""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from services.concurrency_limit import PLACE, REFUSAL_SECONDS
from services.problems import MEDIA_TYPE, Problem, problem_for_status
from services.protocol_upgrade import without_upgrade
from services.turnstile import Turnstile

__all__ = ["HEAD_SECONDS", "MOST_CONNECTIONS", "MOST_HEAD_BYTES", "bound_connections", "bounded"]

HEAD_SECONDS = 5.0
MOST_HEAD_BYTES = 32 * 1024
MOST_CONNECTIONS = 1000
MOST_BODY_BYTES = 2 * 1024 * 1024
"""Of one request, whether they are read or thrown away after an early refusal: twice what any route takes."""
MOST_PIPELINED = 16
READ_SECONDS = 5.0
"""How long nothing of an answer may be taken by who asked for it."""
TLS_READ_SECONDS = 30.0
"""How long an answer may be unread over TLS, where it is not seen whether it is taken slowly or not at all."""
MOST_UNREAD_BYTES = 2048
"""Of answers that were written and not sent: who has more of them reads too slowly to be written a refusal, too.

TLS has half a kilobyte of its own to say, which waits for the first answer.
"""
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
    tells = hasattr(protocol, "on_message_begin")  # httptools does, and h11 does not
    return type(
        f"Bounded{protocol.__name__}",
        (_BoundedConnection, protocol),
        {"_turnstile": turnstile, "_tells_of_messages": tells},
    )


class _BoundedConnection:
    """Put before a uvicorn protocol. While no answer is owed, the head of the next request must come, and end, soon.

    A request is counted or refused before it is parsed only where the parser is known to hold nothing back: its bytes
    would else be the rest of another one.
    """

    # What the protocols of uvicorn have, whichever parses; httptools alone has a `pipeline`.
    loop: asyncio.AbstractEventLoop
    transport: Any
    cycle: Any
    scope: Any
    connections: set[Any]
    timeout_keep_alive: int
    timeout_keep_alive_task: asyncio.TimerHandle | None
    _unset_keepalive_if_required: Callable[[], None]
    pipeline: Sequence[Any] = ()

    _turnstile: Turnstile
    _tells_of_messages: bool
    _in_message = False
    _is_in_body = False
    _is_over = False
    _counted: Any = None  # the scope of the head or body that `_bytes` are of
    _bytes = 0
    _overdue: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin, unless there are too many."""
        super().connection_made(transport)  # type: ignore[misc]
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(problem_for_status(429, "More connections are open than allowed. Try again shortly."))
        else:
            self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take what came: a whole request if there is a place for it, and anything else as it is."""
        if self._is_over:
            return
        path = None
        if self._is_between_requests():
            data = without_upgrade(data)
            path = self._turnstile.needs_place(data)
        if path is None:
            self._parse(data)
        elif (place := self._turnstile.enter()) is None:
            self._turn_away(self._turnstile.refusal(path))
        else:
            before = self.cycle
            self._parse(data)
            if self.cycle is before:  # it was no request after all, and has its answer
                place.give_back()
            else:
                self.cycle.scope[PLACE] = place

    def on_message_begin(self) -> None:
        """Note that the parser is inside of a request; httptools calls it."""
        self._in_message = True
        super().on_message_begin()  # type: ignore[misc]

    def on_message_complete(self) -> None:
        """Note that it is not."""
        self._in_message = False
        super().on_message_complete()  # type: ignore[misc]

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes after the body is kept by nobody, for it would have no end."""
        if self.cycle is None or self.cycle.scope is not self.scope:
            super().on_header(name, value)  # type: ignore[misc]

    def pause_writing(self) -> None:
        """Begin to wait for a reader who does not read."""
        super().pause_writing()  # type: ignore[misc]
        self._await_reader()

    def resume_writing(self) -> None:
        """End to wait: the answer is on its way."""
        self._forget_reader()
        super().resume_writing()  # type: ignore[misc]

    def timeout_keep_alive_handler(self) -> None:
        """End a connection on which nothing came."""
        self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._forget()
        self._forget_reader()
        super().connection_lost(exc)  # type: ignore[misc]

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, unless that would be taken for the answer to a whole request before it."""
        if self.pipeline or self._answers_a_whole_request():
            self._end_after_answers()
        else:
            self._refuse(problem_for_status(400, "This is not an HTTP/1.1 request. Send one, with JSON for its body."))

    def _unsupported_upgrade_warning(self) -> None:
        """End after the answer: of a request for another protocol httptools takes the body for the next request."""
        if self._tells_of_messages:  # h11 reads the body of one as of any other
            self._end_after_answers()

    def _end_after_answers(self) -> None:
        """Answer the requests that came, and take no byte more."""
        self._is_over = True
        self.cycle.keep_alive = False

    def _answers_a_whole_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def _is_between_requests(self) -> bool:
        if self._in_message or not self._tells_of_messages:
            return False
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        unread: int = self.transport.get_write_buffer_size()
        return unread <= MOST_UNREAD_BYTES

    def _parse(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)  # type: ignore[misc]
        if self.cycle is not before:  # it ended a head
            self._forget()
        elif self._overdue is None and (before is None or before.response_complete):
            self._await_head()
        self._count(before, len(data))

    def _count(self, before: Any, size: int) -> None:
        """Bound what came of one head or one body without ending it, and the requests that wait for an answer.

        `before` is the cycle as it was before `size` bytes were parsed: each head that ends makes another one.
        """
        cycle, scope, was_in_body = self.cycle, self.scope, self._is_in_body
        is_in_body = cycle is not None and cycle.more_body and scope is cycle.scope
        if cycle is not before:
            self._bytes = 0  # a head ended: how many of the bytes began what follows is not known
        elif scope is self._counted and is_in_body == was_in_body:
            self._bytes += size  # more of the same
        elif was_in_body:
            self._bytes = 0  # a body ended: as after a head
        else:
            self._bytes = size  # a head began
        self._counted, self._is_in_body = scope, is_in_body
        most = MOST_BODY_BYTES if is_in_body else MOST_HEAD_BYTES
        if self._bytes > most or len(self.pipeline) > MOST_PIPELINED:
            self._refuse_bytes()

    def _refuse_bytes(self) -> None:
        owes_nothing = self.cycle is None or self.cycle.response_complete
        if self.transport.is_closing():
            return
        if owes_nothing and not self._is_in_body:
            self._refuse(problem_for_status(431))
        else:
            self.transport.abort()

    def _turn_away(self, answer: bytes) -> None:
        self._forget()
        self._unset_keepalive_if_required()
        self.transport.pause_reading()
        self.loop.call_later(REFUSAL_SECONDS, self._answer, answer)

    def _answer(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.resume_reading()
            # As after any answer; sooner, and a request that is on its way would find the connection closed.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _await_head(self) -> None:
        self._overdue = self.loop.call_later(HEAD_SECONDS, self._close)

    def _close(self) -> None:
        self._overdue = None
        if not self.transport.is_closing():
            self.transport.close()  # once all is sent: for one whose last answer is not read that is never
            if self._unread is None and self.transport.get_write_buffer_size():
                self._await_reader()

    def _forget(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _await_reader(self) -> None:
        left = self.transport.get_write_buffer_size()
        is_tls = self.transport.get_extra_info("ssl_object") is not None
        self._unread = self.loop.call_later(TLS_READ_SECONDS if is_tls else READ_SECONDS, self._see_reader, left)

    def _see_reader(self, left: int) -> None:
        if self.transport.get_write_buffer_size() < left:
            self._await_reader()
        else:
            self.transport.abort()

    def _forget_reader(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _refuse(self, problem: Problem) -> None:
        body = problem.body(uuid.uuid4().hex)
        again = b"" if problem.retry_after is None else b"retry-after: %d\r\n" % problem.retry_after
        self.transport.write(
            b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\n%scontent-length: %d\r\nconnection: close\r\n\r\n%s"
            % (problem.status, _REASONS[problem.status], MEDIA_TYPE.encode(), again, len(body), body)
        )
        self.transport.close()
