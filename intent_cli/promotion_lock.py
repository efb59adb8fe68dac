"""One promotion at a time over the same slots: whoever reads them may rely on them until it has written."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feature_repo.errors import RequestError, SettingsError

__all__ = ["promoting_alone"]


@contextmanager
def promoting_alone(folder: Path) -> Iterator[None]:
    """Keep other promotions out of the folder of the slots, which is made if it is not there.

    The lock is on the folder itself, and gone with the process that holds it.

    Raises:
        RequestError: another promotion is at work over this folder.
        SettingsError: the folder cannot be made, opened or locked.
    """
    handle = _opened(folder)
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)


def _opened(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise SettingsError(f"Slots cannot be written to {folder} ({error}). Correct what is named.") from error


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RequestError(
            f"Another promotion is at work over {folder}; expected to be alone. Wait for it, look at what it promoted, "
            "and promote again."
        ) from None
    except OSError as error:
        raise SettingsError(
            f"{folder} cannot be locked ({error}). Keep the slots on a file system that locks files."
        ) from error
