"""One ingest at a time under a folder, and nothing left there of one that was killed."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feature_repo.errors import InputError

__all__ = ["sole_writer"]

WRITTEN = (
    "ingest", "events", "users", "items", "quarantine", "sessions", "data_card.json", "data_card.md", "log.json",
)  # fmt: skip


@contextmanager
def sole_writer(out: Path) -> Iterator[None]:
    """Make the folder `out`, keep other ingests out of it, and sweep it; if it stays empty it is removed at the end.

    Raises:
        InputError: another ingest is at work under `out`.
    """
    made = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with _alone(out):
            _sweep(out)
            yield
    finally:
        if made and not any(out.iterdir()):
            out.rmdir()


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the lock of `out`; the system takes it back from a process that dies."""
    handle = os.open(out, os.O_RDONLY)
    try:
        _lock(handle, out)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, out: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"Another ingest is writing {out}; expected to be alone. Wait for it, or choose another folder with --out."
        ) from None


def _sweep(out: Path) -> None:
    """Remove half-written folders and files of an ingest that was killed; nobody else writes such names here."""
    for left in [path for name in WRITTEN for path in out.glob(f".{name}.{'?' * 8}")]:
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
