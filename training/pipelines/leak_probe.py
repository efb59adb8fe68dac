"""Plant what was not known into a copy of some customers' log, join again, and see that nothing changes.

Each of a few hundred customers gets one anchor. Into the copy goes, for every other one, an event a microsecond after
t, and for the rest one before t that became known only after t. (Both for one customer could hide each other in a
table's running totals.) The derived tables are computed anew from both logs, so that the probe covers the whole way
from the log to the features: tables, store, join and transforms.
"""

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.errors import FeatureError
from feature_repo.events import EVENT_SCHEMA, ITEM_SCHEMA, USER_SCHEMA
from feature_repo.transforms.columns import columns_of
from feature_repo.transforms.customer import customer_features
from training.dataset.leakage_checks import changed_columns
from training.dataset.point_in_time import join_features
from training.pipelines.feature_store import SERVICE, apply, derive_features, open_store
from training.progress import Silent

__all__ = ["probe_for_leaks"]

CUSTOMERS = 300
_TICK = timedelta(microseconds=1)


def probe_for_leaks(out: Path, anchors: pa.Table, seed: int, service: str = SERVICE) -> int:
    """Return how many anchors were probed.

    Args:
        out: the run's folder, with the canonical log.
        anchors: `user_id`, `event_timestamp`; one anchor is drawn for each of at most 300 customers.

    Raises:
        FeatureError: a planted event changed a value; the message names the features.
    """
    probed = _one_anchor_each(anchors, seed)
    with tempfile.TemporaryDirectory(prefix="leak-probe-") as folder:
        clean, planted = Path(folder) / "clean", Path(folder) / "planted"
        _copy_log(out, clean, probed)
        _copy_log(out, planted, probed, plant=True)
        before, after = (_features(run, probed, service) for run in (clean, planted))
    changed = changed_columns(before, after)
    if changed:
        raise FeatureError(
            f"Features {changed} change when events are planted that were not known at the anchor; expected no value "
            "to move. They look past t, or past what was known at t: correct the view, or its derived table."
        )
    return probed.num_rows


def _one_anchor_each(anchors: pa.Table, seed: int) -> pa.Table:
    order = np.random.default_rng(seed).permutation(anchors.num_rows)
    users = anchors["user_id"].to_numpy(zero_copy_only=False)[order]
    _, first = np.unique(users.astype(str), return_index=True)
    rows = np.sort(order[np.sort(first)[:CUSTOMERS]])
    return anchors.select(["user_id", "event_timestamp"]).take(pa.array(rows))


def _copy_log(out: Path, target: Path, probed: pa.Table, plant: bool = False) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("probed", probed)
        for name, schema in (("events", EVENT_SCHEMA), ("users", USER_SCHEMA), ("items", ITEM_SCHEMA)):
            of_probed = "" if name == "items" else "WHERE user_id IN (SELECT user_id FROM probed)"
            table = connection.sql(f"FROM read_parquet('{out}/{name}/*.parquet') {of_probed}").to_arrow_table()
            table = table.select(schema.names).cast(schema)
            if plant and name == "events":
                table = pa.concat_tables([table, _planted(table, probed)])
            (target / name).mkdir(parents=True)
            pq.write_table(table, target / name / "part-0.parquet")


def _planted(events: pa.Table, probed: pa.Table) -> pa.Table:
    """For every other customer an event just after t, for the rest one before t that became known just after it."""
    kinds = events["event_type"].unique().to_pylist()
    rows: list[dict[str, Any]] = []
    for number, anchor in enumerate(probed.to_pylist()):
        at = anchor["event_timestamp"]
        happened = at + _TICK if number % 2 else at - timedelta(seconds=1)
        rows += [
            {
                "event_id": f"planted-{number}-{kind}",
                "user_id": anchor["user_id"],
                "item_id": "planted",
                "event_type": kind,
                "event_timestamp": happened,
                "created_timestamp": at + _TICK,
                "quantity": 1e6,
                "revenue": 1e9,
                "cost": 1.0,
                "category": "planted",
            }
            for kind in kinds
        ]
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)


def _features(run: Path, probed: pa.Table, service: str) -> dict[str, Any]:
    """Every column of the join, and every feature computed from them."""
    derive_features(run, Silent())
    store = open_store(run)
    apply(store, run)
    columns = columns_of(join_features(store, service, probed))
    columns.pop("user_id")
    computed = customer_features(columns, columns.pop("event_timestamp"))
    return {**columns, **computed.numeric, **computed.categorical, **computed.sequences}
