"""The workers that follow the slots of a folder: which of them live, and what they say of their models."""

import json
import socket
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import psutil

from services.worker_reports import WorkerReport

__all__ = ["live_reports"]

_RENEWED_SECONDS = 10.0
_FORGET_SECONDS = 3600.0
_CLOCK_SECONDS = 1.0


def live_reports(folder: Path, noted: Collection[str] = ()) -> list[WorkerReport]:
    """Return what the workers that live say; files of workers long gone are removed.

    A worker lives if it renewed its report a moment ago, or its process is there still: one that is stopped says
    nothing, and answers as soon as it goes on. Processes of other machines cannot be seen: who of them is in `noted`,
    the names of those that lived a moment ago, is taken to live until it removes its report.
    """
    found = []
    for path in sorted((folder / "workers").glob("*.json")):
        with suppress(OSError, ValueError, TypeError):
            renewed = path.stat().st_mtime
            if _lives(path.stem, renewed, noted):
                found.append(WorkerReport(**json.loads(path.read_text(encoding="utf-8"))))
            elif time.time() - renewed > _FORGET_SECONDS:
                path.unlink()
    return found


def _lives(worker: str, renewed: float, noted: Collection[str]) -> bool:
    if time.time() - renewed <= _RENEWED_SECONDS:
        return True
    host, _, pid = worker.rpartition("-")
    if host != socket.gethostname():
        return worker in noted
    return _runs(int(pid), renewed)


def _runs(pid: int, renewed: float) -> bool:
    """Whether the process that renewed its report then runs still; one that began later got its number."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= renewed + _CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return False
