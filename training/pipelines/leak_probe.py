"""Plant what was not known into a copy of some customers' log, join again, and see that nothing changes.

Each of a few hundred customers gets one anchor. Into the copy goes, for every other one, an event a microsecond after
t, and for the rest one before t that became known only after t. (Both for one customer could hide each other in a
table's running totals.) What is known about the customer, and about the item, changes at the same moments. Half of the
anchors are moved to the last microsecond of the day before: tables that change once a day would hide there that they
look ahead by less than a day. The derived tables are computed anew from both logs, so that the probe covers the whole
way from the log to the features: tables, store, join and transforms.
"""

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.errors import FeatureError
from feature_repo.events import TIMESTAMP
from feature_repo.transforms.columns import columns_of
from feature_repo.transforms.customer import customer_features
from feature_repo.transforms.feature_sets import FeatureFunction
from training.dataset.leakage_checks import changed_columns
from training.dataset.point_in_time import join_features
from training.dataset.service_definition import ServiceDefinition, describe_service
from training.pipelines.feature_store import SERVICE, apply, derive_features, open_store
from training.pipelines.log_of_customers import LOG, log_of_customers
from training.progress import Silent

__all__ = ["probe_for_leaks"]

CUSTOMERS = 300
_TICK = timedelta(microseconds=1)
_DAY_US = 86_400_000_000


def probe_for_leaks(
    out: Path, anchors: pa.Table, seed: int, service: str = SERVICE, features: FeatureFunction = customer_features
) -> int:
    """Return how many anchors were probed.

    Args:
        out: the run's folder, with the canonical log.
        anchors: `user_id`, perhaps `item_id`, `event_timestamp`; one is drawn for each of at most 300 customers.
        seed: of the draw.
        service: the feature service, one of the repository's definitions.
        features: what makes features of its columns.

    Raises:
        FeatureError: a planted event changed a value; the message names the features.
    """
    probed = _on_the_eve(_one_anchor_each(anchors, seed))
    with tempfile.TemporaryDirectory(prefix="leak-probe-") as folder:
        run = Path(folder)
        log = log_of_customers(out, probed)
        _write_log(run, log)
        derive_features(run, Silent())
        store = open_store(run, scratch=True)
        apply(store, run)
        definition = describe_service(store, service)
        before = _features(store, definition, probed, features)
        _write_log(run, {name: pa.concat_tables([log[name], _planted(name, log[name], probed)]) for name in log})
        derive_features(run, Silent())  # the same store, over other files
        after = _features(store, definition, probed, features)
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
    names = [name for name in ("user_id", "item_id", "event_timestamp") if name in anchors.column_names]
    return anchors.select(names).take(pa.array(rows))


def _on_the_eve(probed: pa.Table) -> pa.Table:
    """Move every anchor but the first two of four to the last microsecond of the day before."""
    at = probed["event_timestamp"].cast(pa.int64()).to_numpy()
    moved = np.where(np.arange(len(at)) % 4 < 2, at, at // _DAY_US * _DAY_US - 1)
    index = probed.column_names.index("event_timestamp")
    return probed.set_column(index, "event_timestamp", pa.array(np.maximum(moved, 0)).cast(TIMESTAMP))


def _write_log(run: Path, log: dict[str, pa.Table]) -> None:
    for name, table in log.items():
        (run / name).mkdir(parents=True, exist_ok=True)
        pq.write_table(table, run / name / "part-0.parquet")


def _planted(name: str, table: pa.Table, probed: pa.Table) -> pa.Table:
    """For every other anchor rows just after t, for the rest rows before t that became known just after it."""
    schema = dict(LOG)[name]
    if name == "items" and "item_id" not in probed.column_names:
        return schema.empty_table()
    kinds = pc.unique(table["event_type"]).to_pylist() if name == "events" else [""]
    rows: list[dict[str, Any]] = []
    for number, anchor in enumerate(probed.to_pylist()):
        at = anchor["event_timestamp"]
        times = {
            "event_timestamp": at + _TICK if number % 2 else at - timedelta(seconds=1),
            "created_timestamp": at + _TICK,
        }
        keys = {"user_id": anchor["user_id"], "item_id": anchor.get("item_id") or "planted"}
        rows += [
            _row(schema, keys | times | {"event_id": f"planted-{number}-{kind}", "event_type": kind}) for kind in kinds
        ]
    return pa.Table.from_pylist(rows, schema=schema)


def _row(schema: pa.Schema, given: dict[str, Any]) -> dict[str, Any]:
    """Fill what is not given with values that no shop has."""
    strange = {field.name: "planted" if pa.types.is_string(field.type) else 1e9 for field in schema}
    strange |= {field.name: given["created_timestamp"] for field in schema if pa.types.is_timestamp(field.type)}
    # Each on a day of its own, as purchases without a session are.
    return {name: value for name, value in (strange | given).items() if name in schema.names and name != "session_id"}


def _features(store: Any, service: ServiceDefinition, probed: pa.Table, function: FeatureFunction) -> dict[str, Any]:
    """Every column of the join, and every feature computed from them."""
    keyed = columns_of(join_features(store, service, probed))
    at_us = keyed.pop("event_timestamp")
    columns = {name: column for name, column in keyed.items() if name in service.features}
    columns |= {name: keyed[name] for name in ("item_id",) if name in keyed}
    computed = function(columns, at_us)
    return {**columns, **computed.numeric, **computed.categorical, **computed.sequences}
