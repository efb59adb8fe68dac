"""A view's newest rows in a stable order and in parts: what a materialisation writes, and where it can go on.

The order is that of the source's files, which the fingerprint fixes: with the same fingerprint, the same moment and the
same start, row n is the same row, so that a run can go on after any number of rows. Memory is bounded by a part, not by
the view: DuckDB sorts and spills, and lists are gathered for some keys at a time.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import duckdb
import pyarrow as pa
from feast.feature_view import DUMMY_ENTITY_ID
from feast.infra.offline_stores.offline_store import OfflineStore
from feast.repo_config import RepoConfig
from feast.utils import _run_pyarrow_field_mapping

from intent_stores.duckdb_session import duckdb_session
from intent_stores.offline_asof import AsofOfflineStore, session_limits
from intent_stores.parquet_source import ROW_NUMBER, ParquetSource, open_source
from intent_stores.ragged import Ints
from intent_stores.sequence_gather import gather_sequences
from intent_stores.sql_text import identifier, listing
from intent_stores.view_plan import ViewPlan, plan_view

_ELEMENTS_AT_ONCE = 4_000_000  # list elements of one feature in a part


class NewestRows(Protocol):
    """The rows of one view, opened for one materialisation."""

    fingerprint: str | None
    """What tells a changed source; None where that cannot be told: a run then begins anew instead of going on."""

    def select(self, since_us: int | None, end_us: int) -> int:
        """Choose rows and return their number: for each key the newest row known at the end.

        Arguments:
            since_us: only keys of which something happened or became known at or after it; None means all.
            end_us: only rows with `event_timestamp <= end` (and `created_timestamp <= end`) count.
        """
        ...

    def parts(self, first_row: int, part_rows: int) -> Iterator[pa.Table]:
        """Yield the chosen rows from a row on, in the stable order, with the names of the view and of its times.

        Raises:
            SourceChangedError: the source's files were replaced; the part at hand is not given out.
        """
        ...


@contextmanager
def newest_rows(config: RepoConfig, offline_store: OfflineStore, view: Any) -> Iterator[NewestRows]:
    """Open a view's source.

    Raises:
        SourceError: it cannot be read as the view says.
    """
    if not isinstance(offline_store, AsofOfflineStore):
        yield PulledRows(config, offline_store, view)
        return
    with duckdb_session(session_limits(config)) as connection:
        source = open_source(connection, view.batch_source, config.repo_path)
        references = [f"{view.projection.name_to_use()}:{field.name}" for field in view.features]
        known_only = config.offline_store.filter_by_created_timestamp
        # Lists are not cut by the time to live, as nowhere in Feast's own materialisation.
        plan = replace(plan_view(view, source, references, False, known_only), ttl_us=None)
        kind = FileRows if source.sequence_length is None else FileSequences
        yield kind(connection, plan, view.batch_source)


class FileRows:
    """Plain rows of Parquet files: one row for each key, as it is in the file."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, plan: ViewPlan, source: Any) -> None:
        self._connection, self._plan, self._source = connection, plan, source
        self.fingerprint = _fingerprint(plan.source)

    def select(self, since_us: int | None, end_us: int) -> int:
        """See `NewestRows`."""
        plan = self._plan
        by_key = f"GROUP BY {listing(plan.key_names)}" if plan.keys else "HAVING count(*) > 0"
        return _numbered(
            self._connection,
            f"SELECT max(struct_pack(e := e, c := c, rid := rid)).rid AS rid "
            f"FROM ({plan.narrow_rows(ROW_NUMBER)}) WHERE {_countable(plan, since_us, end_us)} {by_key}",
        )

    def parts(self, first_row: int, part_rows: int) -> Iterator[pa.Table]:
        """See `NewestRows`."""
        plan, times = self._plan, (self._source.timestamp_field, self._source.created_timestamp_column)
        names = {key.entity_column: key.source_column for key in plan.keys}
        names |= {feature.output: feature.source_column for feature in plan.features}
        names |= {times[0]: plan.timestamp_column} | ({times[1]: plan.created_column} if plan.created_column else {})
        query = (
            f"SELECT {listing(f'{identifier(old)} AS {identifier(new)}' for new, old in names.items())} FROM "
            f"(SELECT *, {ROW_NUMBER} AS __asof_row FROM {plan.source.relation}) "
            f"WHERE __asof_row IN (SELECT rid FROM newest WHERE place >= {first_row}) ORDER BY __asof_row"
        )
        for batch in self._connection.sql(query).to_arrow_reader(part_rows):
            plan.source.check_unchanged()
            yield pa.Table.from_batches([batch])


class FileSequences:
    """Events of Parquet files, as one row of lists for each key with something new."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, plan: ViewPlan, source: Any) -> None:
        self._connection, self._plan, self._source, self._end = connection, plan, source, 0
        self._length = plan.source.sequence_length or 1
        self.fingerprint = _fingerprint(plan.source)

    def select(self, since_us: int | None, end_us: int) -> int:
        """See `NewestRows`; a key whose list changed is one of which an event happened or became known."""
        plan, self._end = self._plan, end_us
        keys = listing([*plan.key_names, ""]).rstrip()
        by_key = f"GROUP BY {listing(plan.key_names)}" if plan.keys else "HAVING count(*) > 0"
        return _numbered(
            self._connection,
            f"SELECT {keys} min(rid) AS rid FROM ({plan.narrow_rows(ROW_NUMBER)}) "
            f"WHERE {_countable(plan, since_us, end_us)} {by_key}",
        )

    def parts(self, first_row: int, part_rows: int) -> Iterator[pa.Table]:
        """See `NewestRows`."""
        plan, keys = self._plan, listing([*self._plan.key_names, ""]).rstrip()
        step = max(1, min(part_rows, _ELEMENTS_AT_ONCE // self._length))
        while True:
            anchors = self._connection.sql(
                f"SELECT place - {first_row} AS r, {keys} {self._end}::BIGINT AS t FROM newest "
                f"WHERE place >= {first_row} AND place < {first_row + step} ORDER BY place"
            ).to_arrow_table()
            if not anchors.num_rows:
                return
            found = gather_sequences(self._connection, anchors, plan, self._length)
            columns = {key.entity_column: anchors.column(f"k{place}") for place, key in enumerate(plan.keys)}
            columns |= dict(zip(found.lists.column_names, found.lists.columns, strict=True))
            columns[self._source.timestamp_field] = _times(found.newest_event)
            if plan.created_column:
                columns[self._source.created_timestamp_column] = _times(found.newest_created)
            yield pa.table(columns)
            first_row += step


class PulledRows:
    """The rows of any other offline store of Feast: pulled as a whole, then put in the order of their keys.

    Such a store chooses by event time alone, so what is late by more than the look-back is not seen.
    """

    fingerprint: str | None = None

    def __init__(self, config: RepoConfig, offline_store: OfflineStore, view: Any) -> None:
        self._config, self._store, self._view = config, offline_store, view
        self._rows = pa.table({})

    def select(self, since_us: int | None, end_us: int) -> int:
        """See `NewestRows`; `since_us` bounds the event time."""
        source, view = self._view.batch_source, self._view
        old = {new: old for old, new in (source.field_mapping or {}).items()}
        created = source.created_timestamp_column or None
        job = self._store.pull_latest_from_table_or_query(
            config=self._config,
            data_source=source,
            join_key_columns=[
                old.get(column.name, column.name) for column in view.entity_columns if column.name != DUMMY_ENTITY_ID
            ],
            feature_name_columns=[old.get(field.name, field.name) for field in view.features],
            timestamp_field=old.get(source.timestamp_field, source.timestamp_field),
            created_timestamp_column=created and old.get(created, created),
            start_date=_date(since_us),
            end_date=_date(end_us),
        )
        table = job.to_arrow()
        table = _run_pyarrow_field_mapping(table, source.field_mapping) if source.field_mapping else table
        keys = [name for name in view.join_keys if name in table.column_names]
        self._rows = table.sort_by([(name, "ascending") for name in keys]) if keys else table
        return self._rows.num_rows

    def parts(self, first_row: int, part_rows: int) -> Iterator[pa.Table]:
        """See `NewestRows`."""
        for start in range(first_row, self._rows.num_rows, part_rows):
            yield self._rows.slice(start, part_rows)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _countable(plan: ViewPlan, since_us: int | None, end_us: int) -> str:
    visible = f"e <= {end_us}" + (f" AND c <= {end_us}" if plan.filters_created else "")
    return visible if since_us is None else f"{visible} AND greatest(e, c) >= {since_us}"


def _numbered(connection: duckdb.DuckDBPyConnection, chosen: str) -> int:
    place = "row_number() OVER (ORDER BY rid) - 1 AS place"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE newest AS SELECT {place}, * FROM ({chosen})")
    return int(connection.execute("SELECT count(*) FROM newest").fetchall()[0][0])


def _fingerprint(source: ParquetSource) -> str | None:
    if len(source.fingerprint) < len(source.files):  # remote files tell nothing
        return None
    return hashlib.sha256(repr(source.fingerprint).encode()).hexdigest()


def _times(micros: Ints) -> pa.Array:
    return pa.array(micros).cast(pa.timestamp("us", tz="UTC"))


def _date(moment_us: int | None) -> datetime:
    return _EPOCH if moment_us is None else _EPOCH + timedelta(microseconds=moment_us)
