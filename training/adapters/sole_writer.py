"""One ingest at a time under a folder, and nothing left there of one that was killed."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feature_repo.errors import InputError
from training.folder_lock import folder_lock

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
    taken = InputError(
        f"Another ingest is writing {out}; expected to be alone. Wait for it, or choose another folder with --out."
    )
    try:
        with folder_lock(out, taken):
            _sweep(out)
            yield
    finally:
        if made and not any(out.iterdir()):
            out.rmdir()


def _sweep(out: Path) -> None:
    """Remove half-written folders and files of an ingest that was killed; nobody else writes such names here."""
    for left in [path for name in WRITTEN for path in out.glob(f".{name}.{'?' * 8}")]:
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
