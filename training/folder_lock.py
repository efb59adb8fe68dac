"""One process at a time in a folder; the system takes the lock back from a process that dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["folder_lock"]


@contextmanager
def folder_lock(folder: Path, taken: Exception | None = None) -> Iterator[None]:
    """Hold the lock of a folder that is there, which makes no file in it.

    Args:
        folder: whose lock.
        taken: what to raise where another process holds it; None: wait until it is free.

    Raises:
        OSError: the folder cannot be opened or locked.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, taken)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, taken: Exception | None) -> None:
    if taken is None:
        fcntl.flock(handle, fcntl.LOCK_EX)
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise taken from None
