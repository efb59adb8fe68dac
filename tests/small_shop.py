"""A run's folder with the log of a few hundred made-up customers, and builds of data sets over it."""

import json
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.events import EVENT_SCHEMA, ITEM_SCHEMA, USER_SCHEMA
from training.dataset.anchors import customers_at, open_log
from training.pipelines.build_dataset import BuildOptions, DatasetReport, build_dataset
from training.pipelines.feature_store import apply, derive_features, open_store
from training.progress import Silent
from training.settings import Settings

BEGIN = datetime(2000, 11, 1, tzinfo=UTC)
SETTINGS = Settings.model_validate(
    {
        "data": {"adapter": "ta_feng"},
        "task": {"horizon_days": 7},
        "anchors": {"every": "monday", "first": "2000-12-04"},
        "splits": {"train_until": "2001-01-15", "validation_until": "2001-02-05", "log_end": "2001-03-01"},
    }
)
WORDS = {"currency": "EUR", "session_id": None}


def write_log(out: Path, customers: int = 300, seed: int = 7) -> None:
    """Write `events/`, `users/` and `items/`: purchases at random days and hours, some known a day late."""
    rng = np.random.default_rng(seed)
    events, users = [], []
    for number in range(customers):
        user = f"{number:06d}"
        users.append({"user_id": user, "event_timestamp": BEGIN, "created_timestamp": BEGIN, "area": f"A{number % 5}"})
        for days in np.cumsum(rng.exponential(rng.uniform(3, 20), 40)):
            at = BEGIN + timedelta(seconds=int(days * 86_400))
            if days < 120:
                events += [_purchase(user, at, int(item), rng) for item in rng.integers(0, 50, rng.integers(1, 4))]
    for number, event in enumerate(events):
        event["event_id"] = f"e{number}"
    items = [
        {"item_id": f"i{n}", "event_timestamp": BEGIN, "created_timestamp": BEGIN, "category": f"c{n % 7}"}
        for n in range(50)
    ]
    for name, rows, schema in (
        ("events", events, EVENT_SCHEMA),
        ("users", users, USER_SCHEMA),
        ("items", items, ITEM_SCHEMA),
    ):
        (out / name).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), out / name / "part-0.parquet")


def _purchase(user: str, at: datetime, item: int, rng: np.random.Generator) -> dict:
    return WORDS | {
        "user_id": user,
        "item_id": f"i{item}",
        "event_type": "purchase",
        "event_timestamp": at,
        "created_timestamp": at + timedelta(days=1) * int(rng.random() < 0.05),
        "quantity": 1.0,
        "revenue": round(float(rng.lognormal(3, 1)), 2),
        "cost": 1.0,
        "category": f"c{item % 7}",
    }


def make_run(out: Path, customers: int = 300) -> Path:
    """Write the log, derive the tables, register the definitions."""
    write_log(out, customers)
    derive_features(out, Silent())
    apply(open_store(out), out)
    return out


def rule_anchors(out: Path, *days: datetime) -> pa.Table:
    """Every customer who bought before, with the label, at each of `days`."""
    with open_log(out) as log:
        return pa.concat_tables([customers_at(log, day, SETTINGS) for day in days])


def build(out: Path, folder: Path, settings: Settings | None = SETTINGS, **options: object) -> DatasetReport:
    """Build a data set into `folder`."""
    return build_dataset(open_store(out), settings, out, Silent(), BuildOptions(folder=folder, **options))


def content(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` by its relative name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def split_table(folder: Path, split: str) -> pa.Table:
    """All parts of a split, in order."""
    return pa.concat_tables([pq.read_table(path) for path in sorted((folder / split).glob("*.parquet"))])


def build_in_a_process(out: str, folder: str, anchors: str, chunk_rows: int, die_at: int, told: str) -> None:
    """Build, and die by SIGKILL just before the disk operation number `die_at` below `folder` (0: live).

    The number of operations, and of parts that were there, is written to `told` at the end.
    """
    operations = 0

    def count(event: str, arguments: tuple) -> None:
        nonlocal operations
        if event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "open") and str(arguments[0]).startswith(folder):
            operations += 1
            if operations == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    report = build(Path(out), Path(folder), anchors=Path(anchors), chunk_rows=chunk_rows)
    Path(told).write_text(json.dumps({"operations": operations, "reused": report.reused_parts}))
