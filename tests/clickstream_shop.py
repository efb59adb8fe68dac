"""A run's folder with a small log of sessions of all kinds of events, and settings of every task over it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.events import EVENT_SCHEMA, ITEM_SCHEMA, USER_SCHEMA
from training.pipelines.feature_store import apply, derive_features, open_store
from training.progress import Silent
from training.settings import Settings

BEGIN = datetime(2021, 3, 1, tzinfo=UTC)
DAYS = 12
ZONE = "Asia/Shanghai"
KINDS = ("view", "favourite", "add_to_cart", "purchase")
SPLITS = {"train_until": "2021-03-08", "validation_until": "2021-03-10", "log_end": "2021-03-13"}
DATED = {"every": "day", "first": "2021-03-03", "timezone": ZONE, "known_by": "event"}
TASKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "purchase_within_horizon": ({"horizon_hours": 24, "features": "customer_events"}, DATED),
    "purchase_in_session": ({"prefixes": [1, 3, 5]}, {"timezone": ZONE, "exclude": ["u000"]}),
    "purchase_of_item": ({"horizon_hours": 24, "lookback_days": 1}, DATED),
    "add_to_cart": ({"horizon_hours": 24}, DATED),
    "churn": ({"horizon_hours": 24}, DATED),
}
"""Every task over a log: its keys of [task] and of [anchors]."""


def settings_of(name: str, **changes: Any) -> Settings:
    """Settings of the task `name`; `changes` replace keys of [task]."""
    task, anchors = TASKS[name]
    sections = {"task": {"name": name} | task | changes, "anchors": anchors, "splits": SPLITS}
    return Settings.model_validate({"data": {"adapter": "table"}, "seed": 5} | sections)


def events(customers: int = 70, seed: int = 11) -> list[dict[str, Any]]:
    """Sessions at own rates; who has put something into the cart is more likely to buy. Some moments are shared."""
    rng = np.random.default_rng(seed)
    found: list[dict[str, Any]] = []
    for number in range(customers):
        taste, at = rng.integers(0, 60), float(rng.exponential(20))
        while at < DAYS * 24:
            found += _session(f"u{number:03d}", BEGIN + timedelta(hours=at), int(taste), rng)
            at += 1.0 + rng.exponential(rng.uniform(4, 40))
    for number, event in enumerate(found):
        event["event_id"] = f"e{number:06d}"
    return found


def _session(user: str, at: datetime, taste: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    chances, found = np.array([0.8, 0.08, 0.08, 0.04]), []
    for _ in range(1 + rng.geometric(0.25)):
        kind = str(rng.choice(KINDS, p=chances / chances.sum()))
        if kind == "add_to_cart":
            chances = np.array([0.5, 0.05, 0.1, 0.35])
        item = int(taste + rng.integers(0, 8)) % 60
        found.append(
            {
                "user_id": user,
                "item_id": f"i{item}",
                "category": f"c{item % 6}",
                "event_type": kind,
                "event_timestamp": at,
                "created_timestamp": at,
                "revenue": 10.0 if kind == "purchase" else None,
            }
        )
        at += timedelta(seconds=int(rng.choice([0, 20, 120, 600])))
    return found


def write_log(out: Path, rows: list[dict[str, Any]]) -> None:
    """Write `events/`, `users/` and `items/` below `out`."""
    users = [
        {"user_id": user, "event_timestamp": BEGIN, "created_timestamp": BEGIN, "area": f"a{user[-1]}"}
        for user in sorted({row["user_id"] for row in rows})
    ]
    items = [
        {"item_id": f"i{n}", "event_timestamp": BEGIN, "created_timestamp": BEGIN, "category": f"c{n % 6}"}
        for n in range(60)
    ]
    for name, table, schema in (
        ("events", rows, EVENT_SCHEMA),
        ("users", users, USER_SCHEMA),
        ("items", items, ITEM_SCHEMA),
    ):
        (out / name).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(table, schema=schema), out / name / "part-0.parquet")


def make_run(out: Path, rows: list[dict[str, Any]] | None = None) -> Path:
    """Write the log, derive the tables, register the definitions."""
    write_log(out, events() if rows is None else rows)
    derive_features(out, Silent())
    apply(open_store(out), out)
    return out
