"""What every worker of a service says of its models, beside `slots.json`: how `intent promote` learns what came of it.

One small file a worker, `workers/<host>-<pid>.json`. Its time is renewed while the worker lives; one that was killed
leaves its file, which counts no more after ten seconds and is removed after an hour.
"""

import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from services.model_slots import replace_json

__all__ = ["RENEW_SECONDS", "ReportFile", "WorkerReport", "live_reports"]

RENEW_SECONDS = 2.0
_ALIVE_SECONDS = 10.0
_FORGET_SECONDS = 3600.0


@dataclass(frozen=True)
class WorkerReport:
    """A worker's models: the generation of the slots it follows, the tags that answer, and what it refused and why.

    `refused` maps a slot (`champion`, `challenger`, `slots`) to the reason; what answered before goes on answering.
    """

    worker: str
    generation: str
    champion: str | None
    challenger: str | None
    refused: dict[str, str] = field(default_factory=dict)


class ReportFile:
    """The report of this process. A folder that cannot be written is no reason not to serve: it then has none."""

    def __init__(self, folder: Path) -> None:
        self.worker = f"{socket.gethostname()}-{os.getpid()}"
        self._path = folder / "workers" / f"{self.worker}.json"
        self._said: WorkerReport | None = None

    def say(self, report: WorkerReport) -> None:
        """Write the report, or renew its time where it says the same."""
        with suppress(OSError):
            if report == self._said and self._path.exists():
                os.utime(self._path)
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_json(self._path, asdict(report))
            self._said = report

    def remove(self) -> None:
        """Remove it, at the worker's end."""
        with suppress(OSError):
            self._path.unlink()


def live_reports(folder: Path) -> list[WorkerReport]:
    """Return what the workers that live say; files of workers long gone are removed."""
    found = []
    for path in sorted((folder / "workers").glob("*.json")):
        with suppress(OSError, ValueError, TypeError):
            age = time.time() - path.stat().st_mtime
            if age > _FORGET_SECONDS:
                path.unlink()
            elif age <= _ALIVE_SECONDS:
                found.append(WorkerReport(**json.loads(path.read_text(encoding="utf-8"))))
    return found
