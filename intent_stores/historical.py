"""A whole point-in-time request: entity rows, one join for each view, and the result put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.offline_store import RetrievalMetadata
from feast.utils import compute_non_entity_date_range

from intent_stores.duckdb_session import SessionLimits, duckdb_session
from intent_stores.entity_rows import (
    EVENT_TIMESTAMP,
    EntityRows,
    entity_rows_of_frame,
    entity_rows_of_query,
    entity_rows_of_table,
)
from intent_stores.errors import EntityRowsError, SourceError
from intent_stores.latest_rows import microseconds
from intent_stores.parquet_source import ROW_NUMBER, open_source
from intent_stores.point_in_time import join_latest
from intent_stores.sequence_gather import gather_sequences
from intent_stores.sql_text import identifier, listing
from intent_stores.view_plan import ViewPlan, plan_view


@dataclass(frozen=True)
class HistoricalRequest:
    """Everything that a point-in-time join depends on.

    Attributes:
        limits: memory, spill, threads.
        repo_path: where relative paths of sources start.
        feature_views: the requested views with their projections.
        feature_refs: "view:feature", in the order of the result.
        entity_df: entity rows as a DataFrame or SQL; None asks for all keys seen between two dates.
        full_feature_names: name results "view__feature".
        known_only: a row counts only from its creation time on.
        start_date, end_date: the range for `entity_df=None`.
        on_demand: the on-demand views that Feast computes on the result.
    """

    limits: SessionLimits
    repo_path: str | Path | None
    feature_views: Sequence[Any]
    feature_refs: Sequence[str]
    entity_df: pd.DataFrame | str | None
    full_feature_names: bool
    known_only: bool
    start_date: datetime | None = None
    end_date: datetime | None = None
    on_demand: Sequence[Any] = ()

    @property
    def computed(self) -> list[str]:
        """Columns that Feast's on-demand views add to the result."""
        views = [
            (f"{view.projection.name_to_use()}__" if self.full_feature_names else "", view) for view in self.on_demand
        ]
        return [f"{prefix}{feature.name}" for prefix, view in views for feature in view.features]


def evaluate(request: HistoricalRequest, dictionaries: bool = False) -> pa.Table:
    """Run a request against the files as they are now: entity columns first, then features, row for row.

    With `dictionaries`, lists of text are lists of dictionary codes.
    """
    with duckdb_session(request.limits) as connection:
        plans = make_plans(connection, request)
        rows = load_entity_rows(connection, request, plans)
        result = rows.table
        for plan in plans:
            anchors = rows.anchors(plan)
            if plan.source.sequence_length is None:
                features = join_latest(connection, anchors, plan)
            else:
                length = plan.source.sequence_length
                features = gather_sequences(connection, anchors, plan, length, dictionaries).lists
            result = _beside(result, features, plan)
        _refuse_computed(request, set(result.column_names))
        return result


def check(request: HistoricalRequest) -> None:
    """Meet every error that does not depend on the rows of the sources, without joining."""
    with duckdb_session(request.limits) as connection:
        plans = make_plans(connection, request)
        if request.entity_df is None or isinstance(request.entity_df, str):
            return
        rows = load_entity_rows(connection, request, plans)
        names = set(rows.table.column_names)
        for plan in plans:
            rows.anchors(plan)
            for feature in plan.features:
                _refuse_clash(feature.output, names, plan)
                names.add(feature.output)
        _refuse_computed(request, names)


def metadata(request: HistoricalRequest) -> RetrievalMetadata:
    """Describe a request for a saved data set: features, keys and range of moments."""
    with duckdb_session(request.limits) as connection:
        rows = load_entity_rows(connection, request, make_plans(connection, request))
    first, last = (None, None) if len(rows.t) == 0 else (int(rows.t.min()), int(rows.t.max()))
    return RetrievalMetadata(
        features=list(request.feature_refs),
        keys=[name for name in rows.table.column_names if name != rows.timestamp_column],
        min_event_timestamp=_moment(first),
        max_event_timestamp=_moment(last),
    )


def make_plans(connection: duckdb.DuckDBPyConnection, request: HistoricalRequest) -> list[ViewPlan]:
    """Open each view's source and read the view into a plan."""
    plans = []
    for view in request.feature_views:
        if view.batch_source is None:
            raise SourceError(
                f"View {view.name!r} has no batch source; expected one to read its history from. Give its stream or "
                "push source a batch_source, or leave the view out of the request."
            )
        source = open_source(connection, view.batch_source, request.repo_path)
        plans.append(plan_view(view, source, request.feature_refs, request.full_feature_names, request.known_only))
    return plans


def load_entity_rows(
    connection: duckdb.DuckDBPyConnection, request: HistoricalRequest, plans: Sequence[ViewPlan]
) -> EntityRows:
    """Return the entity rows of a request, whichever way they were given."""
    if isinstance(request.entity_df, pd.DataFrame):
        return entity_rows_of_frame(request.entity_df)
    if isinstance(request.entity_df, str):
        return entity_rows_of_query(connection, request.entity_df)
    if request.entity_df is None:
        return _rows_of_dates(connection, request, plans)
    raise EntityRowsError(
        f"The entity rows are a {type(request.entity_df).__name__}; expected a pandas DataFrame, an SQL query as text, "
        "or None with start_date and end_date. Convert them, for example with .to_pandas()."
    )


def _rows_of_dates(
    connection: duckdb.DuckDBPyConnection, request: HistoricalRequest, plans: Sequence[ViewPlan]
) -> EntityRows:
    """Return one row at the end date for each combination of keys that was seen between the dates."""
    start, end = compute_non_entity_date_range(
        list(request.feature_views), start_date=request.start_date, end_date=request.end_date
    )
    low, high = microseconds(start), microseconds(end)
    names = _widest_keys(plans)
    seen = " UNION ".join(
        _keys_seen(plan, names, low, high) for plan in plans if {k.entity_column for k in plan.keys} == set(names)
    )
    keys = listing(identifier(name) for name in names)
    rows = f"SELECT {keys}, make_timestamptz({high}) AS {EVENT_TIMESTAMP} FROM ({seen}) ORDER BY {keys}"
    if not names:
        rows = f"SELECT make_timestamptz({high}) AS {EVENT_TIMESTAMP}"
    return entity_rows_of_table(connection.sql(rows).to_arrow_table().combine_chunks())


def _widest_keys(plans: Sequence[ViewPlan]) -> tuple[str, ...]:
    """Return the keys that say which rows to make; every view's keys must be among them."""
    sets = [tuple(key.entity_column for key in plan.keys) for plan in plans]
    widest = max(sets, key=len, default=())
    for plan, names in zip(plans, sets, strict=True):
        if not set(names) <= set(widest):
            raise EntityRowsError(
                f"Without entity rows, view {plan.name!r} has the keys {list(names)} and another view has "
                f"{list(widest)}; expected one view's keys to include all others', since every pair of them would be a "
                "row. Pass entity rows with the pairs you want, or ask for these views one by one."
            )
    return widest


def _keys_seen(plan: ViewPlan, names: Sequence[str], low: int, high: int) -> str:
    place = {key.entity_column: i for i, key in enumerate(plan.keys)}
    keys = listing(f"k{place[name]} AS {identifier(name)}" for name in names)
    known = f" AND c <= {high}" if plan.filters_created else ""
    return f"SELECT DISTINCT {keys} FROM ({plan.narrow_rows(ROW_NUMBER)}) WHERE e BETWEEN {low} AND {high}{known}"


def _beside(result: pa.Table, features: pa.Table, plan: ViewPlan) -> pa.Table:
    for name, column in zip(features.column_names, features.columns, strict=True):
        _refuse_clash(name, set(result.column_names), plan)
        result = result.append_column(name, column)
    return result


def _refuse_clash(name: str, taken: set[str], plan: ViewPlan) -> None:
    if name in taken:
        raise EntityRowsError(
            f"Feature {name!r} of view {plan.name!r} has the name of a column that the result has already; expected "
            "distinct names. Pass full_feature_names=True, or rename the column of the entity rows."
        )


def _refuse_computed(request: HistoricalRequest, taken: set[str]) -> None:
    for name in request.computed:
        if name in taken:
            raise EntityRowsError(
                f"An on-demand view computes {name!r}, the name of a column that the result has already; expected "
                "distinct names. Pass full_feature_names=True, or rename the column of the entity rows."
            )


def _moment(micros: int | None) -> datetime | None:
    if micros is None:
        return None
    return datetime.fromtimestamp(micros // 1_000_000, tz=UTC).replace(microsecond=micros % 1_000_000)
