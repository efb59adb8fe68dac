"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable

__all__ = ["until"]


def until(is_so: Callable[[], bool], seconds: float = 60) -> float:
    """Wait until it is so, and return how many seconds that took; it fails after `seconds`."""
    begun = time.monotonic()
    while not is_so():
        assert time.monotonic() < begun + seconds
        time.sleep(0.01)
    return time.monotonic() - begun
