"""How often somebody may ask: a bucket of tokens that fills at a steady rate."""

__all__ = ["TokenBucket"]


class TokenBucket:
    """At most `burst` requests at once, and `per_second` in the long run, of one process. Used from one thread."""

    __slots__ = ("_burst", "_left", "_per_second", "_seen")

    def __init__(self, per_second: float, burst: float, now: float) -> None:
        self._per_second = per_second
        self._burst = self._left = burst
        self._seen = now

    def take(self, now: float) -> float:
        """Take a token at `now` (seconds of a clock that only goes forward), and return 0.0.

        If none is left, return the seconds until the next one, above 0; nothing is taken.
        """
        self._left = min(self._burst, self._left + (now - self._seen) * self._per_second)
        self._seen = now
        if self._left >= 1.0:
            self._left -= 1.0
            return 0.0
        return (1.0 - self._left) / self._per_second
