"""What a step cost: rows, seconds and peak memory, kept in `stages.json` beside the results."""

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from training.atomic import write_json

__all__ = ["Stage", "measured", "read_stages"]


@dataclass
class Stage:
    """One step of the main job. `rows` is what it counts by; a step sets it before it ends."""

    name: str
    rows: int = 0
    seconds: float = 0.0
    peak_rss_mb: float = 0.0
    notes: dict[str, float] = field(default_factory=dict)

    def line(self) -> str:
        """One line for a person."""
        rate = f"{self.rows / self.seconds:,.0f} rows/s, " if self.rows and self.seconds else ""
        return f"{self.name}: {self.rows:,} rows, {self.seconds:.1f} s, {rate}peak memory {self.peak_rss_mb:,.0f} MB"


@contextmanager
def measured(name: str, out: Path) -> Iterator[Stage]:
    """Measure the block and, if it ends well, put its cost into `<out>/stages.json`, and into metrics.json if there."""
    stage, begun = Stage(name), time.perf_counter()
    yield stage
    stage.seconds = round(time.perf_counter() - begun, 2)
    stage.peak_rss_mb = round(_peak_kilobytes() / 1024, 1)
    stages = read_stages(out)
    stages[name] = {key: value for key, value in asdict(stage).items() if key != "name" and value != {}}
    write_json(out / "stages.json", stages)
    if (out / "metrics.json").exists():  # steps after the evaluation belong to the same record
        write_json(out / "metrics.json", json.loads((out / "metrics.json").read_text()) | {"stages": stages})


def read_stages(out: Path) -> dict[str, dict[str, float]]:
    """Return the costs measured so far, by step."""
    path = out / "stages.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _peak_kilobytes() -> int:
    """Peak resident memory of this process or of its largest child (Linux counts both in kilobytes)."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
