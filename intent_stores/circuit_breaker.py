"""A circuit breaker: after several failures in a row nobody asks any more for a while, then one caller tries."""

import threading
import time
from collections.abc import Callable


class CircuitBreaker:
    """Closed: everybody may ask. Open: nobody. After the pause one caller may try; its success closes the circuit.

    May be used from several threads.
    """

    def __init__(
        self, failures: int = 5, pause_seconds: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start closed.

        Arguments:
            failures: how many in a row open the circuit.
            pause_seconds: how long it stays open before one caller may try.
            clock: seconds that only rise.
        """
        self._failures, self._pause, self._clock = failures, pause_seconds, clock
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._try_at = 0.0
        self.why: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody, or one caller alone, asks."""
        return self._in_a_row >= self._failures

    def may_ask(self) -> bool:
        """Return whether to ask. While the circuit is open, one caller for each pause gets True."""
        if self._in_a_row < self._failures:
            return True
        with self._lock:
            now = self._clock()
            if now < self._try_at:
                return False
            self._try_at = now + self._pause
            return True

    def succeeded(self) -> None:
        """Note an answer: the circuit is closed."""
        if self._in_a_row:
            with self._lock:
                self._in_a_row, self.why = 0, None

    def failed(self, why: str) -> None:
        """Note that there was no answer, and why."""
        with self._lock:
            self._in_a_row += 1
            self.why = why
            if self._in_a_row >= self._failures:
                self._try_at = self._clock() + self._pause
