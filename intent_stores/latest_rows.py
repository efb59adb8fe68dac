"""What a view holds at one moment: the rows that `feast materialize` writes online."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL

from intent_stores.errors import OutOfResourcesError
from intent_stores.parquet_source import ROW_NUMBER, ParquetSource
from intent_stores.sequence_gather import gather_sequences
from intent_stores.sql_text import identifier, listing
from intent_stores.view_plan import FOREVER, LONG_AGO, FeatureColumn, JoinKey, ViewPlan


@dataclass(frozen=True)
class PullRequest:
    """What Feast asks of `pull_latest_…` and `pull_all_…`, in the source's own column names.

    Attributes:
        start, end: bounds of the event time in microseconds, both inclusive.
    """

    plan: ViewPlan
    start: int
    end: int


def pull_request(
    source: ParquetSource,
    join_key_columns: Sequence[str],
    feature_name_columns: Sequence[str],
    timestamp_field: str,
    created_timestamp_column: str | None,
    start_date: datetime | None,
    end_date: datetime | None,
    known_only: bool,
) -> PullRequest:
    """Check a request against its source.

    Raises:
        SourceColumnMissingError, SourceColumnTypeError: see `ViewPlan.check_columns`.
    """
    plan = ViewPlan(
        name=source.name,
        source=source,
        keys=tuple(JoinKey(name, name) for name in join_key_columns),
        features=tuple(FeatureColumn(name, name) for name in feature_name_columns),
        timestamp_column=timestamp_field,
        created_column=created_timestamp_column or None,
        known_only=known_only,
    )
    plan.check_columns()
    start = -FOREVER if start_date is None else microseconds(start_date)
    end = FOREVER if end_date is None else microseconds(end_date)
    return PullRequest(plan, start, end)


def microseconds(moment: datetime) -> int:
    """Return a moment in microseconds since 1970; a naive one is UTC."""
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (zoned - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def latest_rows(connection: duckdb.DuckDBPyConnection, request: PullRequest) -> pa.Table:
    """Return each key's latest row between start and end, as it was known at the end.

    Returns:
        One row for each key, in the order of the file: keys, features, event time, creation time, in the source's
        names and types. Rows with a null key are left out. Ties as in `point_in_time.join_latest`.
    """
    plan = request.plan
    by_key = f"GROUP BY {listing(plan.key_names)}" if plan.keys else "HAVING count(*) > 0"
    matched = (
        f"SELECT max(struct_pack(e := e, c := c, rid := rid)).rid AS rid "
        f"FROM ({plan.narrow_rows(ROW_NUMBER)}) WHERE {_in_range(request)} {by_key}"
    )
    query = (
        f"SELECT {_columns(plan)} FROM (SELECT *, {ROW_NUMBER} AS __asof_row FROM {plan.source.relation}) "
        f"WHERE __asof_row IN ({matched}) ORDER BY __asof_row"
    )
    return _finished(connection.sql(query).to_arrow_table(), plan)


def all_rows(connection: duckdb.DuckDBPyConnection, request: PullRequest) -> pa.Table:
    """Return every row between start and end that was known at the end, in the order of the file."""
    plan = request.plan
    event, created = plan.event_micros, plan.created_micros
    # A row without a creation time is never known, as in joins.
    known = f" AND {created} > {LONG_AGO} AND {created} <= {request.end}" if plan.filters_created else ""
    query = (
        f"SELECT {_columns(plan)} FROM (SELECT *, {ROW_NUMBER} AS __asof_row FROM {plan.source.relation}) "
        f"WHERE {event} BETWEEN {request.start} AND {request.end}{known} ORDER BY __asof_row"
    )
    return _finished(connection.sql(query).to_arrow_table(), plan)


def latest_sequences(connection: duckdb.DuckDBPyConnection, request: PullRequest, length: int) -> pa.Table:
    """Return one row for each key with something new: lists of its last events up to the end.

    A key is new if one of its events happened, or became known, between start and end. Events before the start
    belong to its lists as well. The row's times are those of the newest event.
    """
    plan = request.plan
    anchors = _anchors_of_keys(connection, request)
    found = gather_sequences(connection, anchors, plan, length)
    columns: dict[str, Any] = {key.source_column: anchors.column(f"k{i}") for i, key in enumerate(plan.keys)}
    columns |= dict(zip(found.lists.column_names, found.lists.columns, strict=True))
    columns[plan.timestamp_column] = _timestamps(found.newest_event)
    if plan.created_column:
        columns[plan.created_column] = _timestamps(found.newest_created)
    table = pa.table(columns).filter(pa.array(found.length > 0))
    return _finished(table, plan)


def _anchors_of_keys(connection: duckdb.DuckDBPyConnection, request: PullRequest) -> pa.Table:
    plan = request.plan
    moment = "greatest(e, c)" if plan.filters_created else "e"
    group = f"GROUP BY {listing(plan.key_names)}" if plan.keys else "HAVING count(*) > 0"
    keys = listing([*plan.key_names, ""]).rstrip()
    query = (
        f"SELECT row_number() OVER (ORDER BY rid) - 1 AS r, {keys} {request.end}::BIGINT AS t FROM ("
        f"SELECT {keys} min(rid) AS rid FROM ({plan.narrow_rows(ROW_NUMBER)}) "
        f"WHERE {moment} BETWEEN {request.start} AND {request.end} {group}) ORDER BY r"
    )
    return connection.sql(query).to_arrow_table()


def _in_range(request: PullRequest) -> str:
    known = f" AND c <= {request.end}" if request.plan.filters_created else ""
    return f"e BETWEEN {request.start} AND {request.end}{known}"


def _columns(plan: ViewPlan) -> str:
    names = [k.source_column for k in plan.keys] + [f.source_column for f in plan.features]
    names += [plan.timestamp_column] + ([plan.created_column] if plan.created_column else [])
    return listing(identifier(name) for name in dict.fromkeys(names))


def _timestamps(micros: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> pa.Array:
    return pa.array(micros).cast(pa.timestamp("us", tz="UTC"))


def _finished(table: pa.Table, plan: ViewPlan) -> pa.Table:
    plan.source.check_unchanged()
    if not plan.keys and DUMMY_ENTITY_ID not in table.column_names:
        # Feast stores a view without entities under one agreed key.
        table = table.append_column(DUMMY_ENTITY_ID, pa.array([DUMMY_ENTITY_VAL] * table.num_rows, pa.string()))
    table = table.combine_chunks()
    if any(column.num_chunks > 1 for column in table.columns):
        # Feast writes only a table's first batch online: more than one would be lost without a word.
        raise OutOfResourcesError(
            f"Source {plan.source.name!r}: the {table.num_rows} rows asked for are more than one Arrow batch can hold; "
            "expected less than 2 GB of text in a column. Ask for a shorter interval."
        )
    return table
