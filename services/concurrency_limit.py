"""How much may be in progress at a time: a place, or a refusal. A queue would only make all of it late."""

from types import TracebackType

from services.problems import Refused, problem_for_status

__all__ = ["ConcurrencyLimit"]


class ConcurrencyLimit:
    """`with limit:` holds one of `most` places. Used from one event loop.

    Raises, on entering:
        Refused: 429, all places are taken.
    """

    __slots__ = ("_most", "in_progress", "refused")

    def __init__(self, most: int) -> None:
        self._most = most
        self.in_progress = self.refused = 0

    def require_place(self) -> None:
        """Take no place, but see that there is one.

        Raises:
            Refused: 429, there is none.
        """
        if self.in_progress >= self._most:
            self.refused += 1
            raise Refused(problem_for_status(429))

    def __enter__(self) -> None:
        self.require_place()
        self.in_progress += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.in_progress -= 1
