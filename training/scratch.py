"""Folders for what is too large for memory: gone with their owner, and if that was killed, with the next one."""

import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path

from training.folder_lock import folder_lock

__all__ = ["ScratchFolder", "sweep"]

_PREFIX = "scratch-"


class ScratchFolder:
    """An empty folder below `parent` (the system's temporary folder without one), removed when the object is.

    It is held by a lock that the system takes back from a process that dies: whoever next opens one below the same
    `parent` removes what the dead left there, and leaves alone what a living process uses.
    """

    def __init__(self, parent: Path | None = None) -> None:
        if parent is None:
            self.path, handle = _held(Path(tempfile.gettempdir()))
        else:
            parent.mkdir(parents=True, exist_ok=True)
            with folder_lock(parent):  # else it could be swept before it is held
                _remove_abandoned(parent)
                self.path, handle = _held(parent)
        self._finalizer = weakref.finalize(self, _remove, self.path, handle)


def sweep(parent: Path) -> None:
    """Remove what killed processes left below `parent`; nothing is done where there is no such folder."""
    if parent.is_dir():
        with folder_lock(parent):
            _remove_abandoned(parent)


def _held(parent: Path) -> tuple[Path, int]:
    path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    handle = os.open(path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return path, handle


def _remove_abandoned(parent: Path) -> None:
    for path in parent.glob(f"{_PREFIX}*"):
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:
            continue  # its owner has just removed it, or it is somebody else's
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            pass  # in use
        finally:
            os.close(handle)


def _remove(path: Path, handle: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(handle)
