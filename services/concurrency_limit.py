"""How much may be in progress at a time: a place, or a refusal. A queue would only make all of it late."""

import asyncio
from types import TracebackType

from services.problems import Refused, problem_for_status

__all__ = ["PLACE", "REFUSAL_SECONDS", "ConcurrencyLimit", "Place"]

PLACE = "intent.place"
"""In the scope of a request whose place was taken before it was parsed: the `Place`."""
REFUSAL_SECONDS = 0.05
"""How long a refusal for want of a place is kept back. Who is refused at once asks again at once, and what a hundred
callers that do so cost is time that those who have a place wait for.
"""


class ConcurrencyLimit:
    """So many places. Used from one event loop."""

    __slots__ = ("in_progress", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.in_progress = 0

    @property
    def is_full(self) -> bool:
        """Whether all places are taken."""
        return self.in_progress >= self.most


class Place:
    """One request's place, not yet taken; `with place:` gives it back at the end, if it was."""

    __slots__ = ("_is_taken", "_limit")

    def __init__(self, limit: ConcurrencyLimit) -> None:
        self._limit = limit
        self._is_taken = False

    def take(self) -> bool:
        """Take it; return whether it could be."""
        if not self._is_taken and not self._limit.is_full:
            self._is_taken = True
            self._limit.in_progress += 1
        return self._is_taken

    async def require(self, *, take: bool) -> None:
        """See that there is one, and take it or not.

        Raises:
            Refused: 429, and only after `REFUSAL_SECONDS`: there was none.
        """
        if not (self.take() if take else self._is_taken or not self._limit.is_full):
            await asyncio.sleep(REFUSAL_SECONDS)
            raise Refused(problem_for_status(429))

    def give_back(self) -> None:
        """Give it back, if it was taken."""
        if self._is_taken:
            self._is_taken = False
            self._limit.in_progress -= 1

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()
