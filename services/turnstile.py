"""Refusing on the connection what comes while all places are taken: in the layers a refusal costs ten times as much.

Under an overload most of what a worker does is to refuse, and who has a place waits for that. A request that comes
whole, as nearly all do, is therefore counted, or refused, before it is parsed. All others are left to the guard, which
does the same: what comes in pieces, what does not keep its connection, and whatever else is out of the ordinary.
"""

import itertools
import os
import re
from collections.abc import Callable, Iterable

from services.concurrency_limit import REFUSAL_SECONDS, ConcurrencyLimit, Place
from services.draining import DRAINING
from services.problems import problem_for_status

__all__ = ["Turnstile", "whole_request"]

_START = re.compile(rb"POST (/[a-z_]+) HTTP/1\.1\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: ?(\d{1,9})(?=\r\n|\Z)")
_OUT_OF_THE_ORDINARY = re.compile(rb"\r\n(?:transfer-encoding|expect|upgrade|connection:[^\r]*close)")
_AUTHORIZATION = re.compile(rb"\r\nauthorization:[ \t]*([^\r]*)\r\n", re.IGNORECASE)
_MOST_HEAD_BYTES = 4096
_ID = "0" * 32


def whole_request(data: bytes) -> str | None:
    """Return the path of a POST request that `data` is, no byte more and no byte less; None if it is anything else."""
    start = _START.match(data)
    end = data.find(b"\r\n\r\n", 0, _MOST_HEAD_BYTES) if start else -1
    if start is None or end < 0:
        return None
    head = data[:end].lower()
    length = _LENGTH.search(head)
    if length is None or len(data) != end + 4 + int(length[1]) or head.count(b"\r\ncontent-length") != 1:
        return None
    if not head.count(b"\n") == head.count(b"\r") == head.count(b"\r\n"):  # some parsers end a line at less
        return None
    return None if _OUT_OF_THE_ORDINARY.search(head) else start[1].decode()


class Turnstile:
    """In front of a `ConcurrencyLimit`, for whole requests to some paths. Used from one event loop."""

    def __init__(
        self,
        limit: ConcurrencyLimit,
        paths: Iterable[str],
        may: Callable[[str, bytes | None], bool] | None,
        refused: Callable[[str, float], None],
    ) -> None:
        """Prepare.

        Args:
            limit: the places.
            paths: those that need one.
            may: says whether the value of an Authorization header gives the right to a path; None: everybody has it.
                Who has none is left to the guard: a place is for those who may have one.
            refused: is told the path and the seconds of every refusal.
        """
        self._limit, self._paths, self._may, self._refused = limit, frozenset(paths), may, refused
        before, after = problem_for_status(429).body(_ID).split(_ID.encode())
        size = len(before) + len(_ID) + len(after)
        head = "".join(f"{name}: {value}\r\n" for name, value in problem_for_status(429).headers().items())
        self._before = f"HTTP/1.1 429 Too Many Requests\r\n{head}content-length: {size}\r\n\r\n".encode() + before
        self._after = after
        self._process, self._count = os.urandom(8).hex(), itertools.count()  # a quarter of a refusal was to draw more

    def needs_place(self, data: bytes) -> str | None:
        """Return the path of a whole request that needs a place, and may have one; None for all else.

        And for all while we drain: answers say goodbye then, and the layers know how.
        """
        path = None if DRAINING.active else whole_request(data)
        if path is None or path not in self._paths:
            return None
        if self._may is None:
            return path
        given = _AUTHORIZATION.search(data, 0, data.index(b"\r\n\r\n") + 2)
        return path if self._may(path, given and given[1].rstrip(b" \t")) else None

    def enter(self) -> Place | None:
        """Return a place that is taken; None if there was none."""
        place = Place(self._limit)
        return place if place.take() else None

    def refusal(self, path: str) -> bytes:
        """Return the answer for a request that found no place, to be sent after `REFUSAL_SECONDS`."""
        self._refused(path, REFUSAL_SECONDS)
        request_id = f"{self._process}{next(self._count):016x}"
        return b"%s%s%s" % (self._before, request_id.encode(), self._after)
