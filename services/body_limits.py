"""What a request may weigh: its headers, its body, how deep its JSON goes. No web, no BentoML."""

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

from services.problems import Problem, Refused, problem_for_status

__all__ = [
    "MOST_HEADERS",
    "MOST_HEADER_BYTES",
    "MOST_LEVELS",
    "MOST_UNFINISHED_BYTES",
    "RequestHead",
    "UnfinishedBodies",
    "is_too_deep",
    "read_body",
    "read_head",
]

MOST_HEADERS = 64
MOST_HEADER_BYTES = 16 * 1024
MOST_LEVELS = 16
MOST_UNFINISHED_BYTES = 64 * 1024 * 1024
"""Of all bodies together that have not come whole: a place in progress is taken only by one that has."""
Message = MutableMapping[str, Any]

_JSON = b"application/json"
# A text of JSON, or what is left of one that is not closed: so that a pass over the body is linear whatever it holds.
_TEXT = re.compile(rb'"(?>[^"\\]+|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What the headers say that matters here; None: not given. `length` is the content-length, in bytes."""

    content_type: bytes | None = None
    encoding: bytes | None = None
    length: int | None = None
    chunked: bool = False
    authorization: bytes | None = None

    def check(self, body_bytes: int) -> None:
        """Require a JSON body of at most `body_bytes`, or none where that is 0.

        Raises:
            Refused: 415 for another type or an encoding, 413 for a length above, 400 for a body where none is taken.
        """
        if self.content_type is not None or body_bytes:
            _require_json(self.content_type)
        if self.encoding not in (None, b"", b"identity"):
            raise Refused(_encoded())
        if body_bytes == 0 and (self.length or self.chunked):
            raise Refused(problem_for_status(400, "This path takes no body; expected none. Send the request without."))
        if self.length is not None and self.length > body_bytes:
            raise Refused(too_large(body_bytes))


def read_head(headers: Iterable[tuple[bytes, bytes]]) -> RequestHead:
    """Return what the headers (names in lower case) say.

    Raises:
        Refused: 431 for more or longer headers than are taken, 400 for one that must not stand there twice, and for a
            content-length that is no number.
    """
    found: dict[bytes, bytes] = {}
    count = size = 0
    for name, value in headers:
        count += 1
        size += len(name) + len(value)
        if name in _READ:
            if name in found:
                raise Refused(problem_for_status(400, "A header that may be given once was given twice."))
            found[name] = value
    if count > MOST_HEADERS or size > MOST_HEADER_BYTES:
        raise Refused(problem_for_status(431))
    return RequestHead(
        found.get(b"content-type"),
        found.get(b"content-encoding"),
        _length(found.get(b"content-length")),
        b"transfer-encoding" in found,
        found.get(b"authorization"),
    )


_READ = frozenset((b"content-type", b"content-encoding", b"content-length", b"transfer-encoding", b"authorization"))


class UnfinishedBodies:
    """The bytes of all bodies that have not come whole. Used from one event loop."""

    __slots__ = ("_most", "bytes")

    def __init__(self, most: int = MOST_UNFINISHED_BYTES) -> None:
        self._most = most
        self.bytes = 0

    def add(self, count: int) -> None:
        """Count so many bytes more.

        Raises:
            Refused: 429, that would be too many; they are not counted.
        """
        if self.bytes + count > self._most:
            raise Refused(problem_for_status(429))
        self.bytes += count


async def read_body(receive: Callable[[], Awaitable[Message]], most: int, unfinished: UnfinishedBodies) -> bytes | None:
    """Return the whole body, or None if the caller hung up.

    Raises:
        Refused: 413, more than `most` bytes came; 429, too many bytes of all bodies wait for their rest.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):  # nearly always: it came in one piece
        body: bytes = message.get("body", b"")
        if len(body) > most:
            raise Refused(too_large(most))
        return body
    parts = bytearray()
    try:
        while message["type"] == "http.request":
            piece = message.get("body", b"")
            unfinished.add(len(piece))
            parts += piece
            if len(parts) > most:
                raise Refused(too_large(most))
            if not message.get("more_body"):
                return bytes(parts)
            message = await receive()
        return None
    finally:
        unfinished.bytes -= len(parts)


def is_too_deep(body: bytes, most: int = MOST_LEVELS) -> bool:
    """Whether brackets stand more than `most` levels inside each other, or so many are left open."""
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    brackets = _TEXT.sub(b"", body).translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(most):  # each pass takes the innermost level away
        if not brackets:
            return False
        left = brackets.replace(b"[]", b"")
        if len(left) == len(brackets):
            return True
        brackets = left
    return bool(brackets)


def too_large(most: int) -> Problem:
    """Return the problem of a body above `most` bytes."""
    return problem_for_status(413, f"The body has more than {most} bytes; expected at most that. Send less at a time.")


def _require_json(content_type: bytes | None) -> None:
    if content_type != _JSON and (content_type or b"").split(b";", 1)[0].strip().lower() != _JSON:
        raise Refused(problem_for_status(415))


def _encoded() -> Problem:
    return problem_for_status(415, "The body is compressed or encoded; expected plain application/json. Send it plain.")


def _length(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not value.isdigit() or len(value) > 18:
        raise Refused(problem_for_status(400, "The content-length is not a number of bytes as expected."))
    return int(value)
