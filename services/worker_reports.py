"""What every worker of a service says of its models, beside `slots.json`: how `intent promote` learns what came of it.

One small file a worker, `workers/<host>-<pid>.json`. Its time is renewed while the worker lives, from before its first
model is loaded; one that was killed leaves its file.
"""

import os
import socket
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from services.model_slots import replace_json

__all__ = ["RENEW_SECONDS", "ReportFile", "WorkerReport"]

RENEW_SECONDS = 2.0


@dataclass(frozen=True)
class WorkerReport:
    """A worker's models: the generation of the slots it follows, the tags that answer, and what it refused and why.

    `refused` maps a slot (`champion`, `challenger`, `slots`) to the reason; what answered before goes on answering.
    A worker that is starting follows no generation, and nothing answers.
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
        self._removed = threading.Event()

    def begin(self) -> None:
        """Say that the worker starts, and renew the report until it is removed.

        On a thread of its own: the one that says the rest loads models, which may take longer than a report lasts.
        """
        self.say(WorkerReport(self.worker, "", None, None))
        threading.Thread(target=self._renew, name="worker-report", daemon=True).start()

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
        self._removed.set()
        with suppress(OSError):
            self._path.unlink()

    def _renew(self) -> None:
        while not self._removed.wait(RENEW_SECONDS):
            with suppress(OSError):
                os.utime(self._path)
