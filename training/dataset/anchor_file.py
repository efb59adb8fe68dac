"""Anchors from a Parquet or CSV file, read in chunks, in the file's order, with the caller's other columns."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.errors import SourceDataError, SplitError
from training.dataset.anchor_chunks import Chunk
from training.dataset.anchor_columns import KEYS, canonical_anchors, require_columns, splits_of_column
from training.dataset.time_splits import SPLITS, split_numbers
from training.settings import Settings

__all__ = ["WHOLE", "FileAnchors"]

WHOLE = "all"
"""The one split of anchors for which there are neither settings nor a column `split`."""

# A DuckDB reader of CSV and a Parquet reader both give rows in small batches; chunks are put together from them.
_BATCH_ROWS = 8_192


@dataclass(frozen=True)
class FileAnchors:
    """Anchors of a file: `user_id`, perhaps `item_id`, `event_timestamp`, perhaps `label`, perhaps `split`.

    Without a column `split`, the dates of the settings split the rows, and rows whose label window they cut are
    dropped, and counted; without settings all rows are in the split `all`.

    Attributes:
        path: `.parquet`, or `.csv` with a header line.
        settings: for borders and horizon; None where there are none.
        chunk_rows: how many rows of the file are read and joined at a time.
        keys: the join keys of the feature service.
        features: names of its features, which no column of the file may have.
    """

    path: Path
    settings: Settings | None
    chunk_rows: int
    keys: tuple[str, ...]
    features: frozenset[str]

    @property
    def horizon_us(self) -> int | None:
        """The label's horizon in microseconds; None without settings."""
        return None if self.settings is None else round(self.settings.task.days * 86_400_000_000)

    @property
    def dropped_dates(self) -> tuple[str, ...]:
        """None: a file has rows, not dates."""
        return ()

    @property
    def censored(self) -> dict[str, int]:
        """Nothing: whoever wrote the file chose its rows."""
        return {}

    def chunks(self) -> Iterator[Chunk]:
        """Yield every `chunk_rows` rows of the file as one chunk for each split in them.

        Raises:
            SourceDataError: the file is missing or unreadable, or its columns or values cannot be anchors.
            SplitError: a row names a split that there is not.
        """
        first_row = 1
        for number, rows in enumerate(self._rows()):
            table = canonical_anchors(rows, first_row, self.path)
            yield from self._by_split(table, f"part-{number:05d}")
            first_row += rows.num_rows

    def check(self, splits: dict[str, tuple[int, int | None]]) -> None:
        """Refuse a file of which no row is in a split, or that labels all anchors of a split the same.

        Without labels, or in the split `all`, which nothing is fitted on, there is nothing to be learnt and no harm.

        Raises:
            SplitError: every row was dropped, or a split's labels are of one class.
        """
        if not any(anchors for anchors, _ in splits.values()):
            raise SplitError(
                f"No anchor of {self.path} lies in a split with its whole label window; expected some. Compare its "
                "event_timestamp with the dates of intent.toml, or give the rows a column 'split'."
            )
        for name in SPLITS:
            anchors, positives = splits.get(name, (0, None))
            if positives is not None and not 0 < positives < anchors:
                raise SplitError(
                    f"The split {name!r} of {self.path} has {anchors} anchors and {positives} positive labels; "
                    "expected both classes. Give it anchors of the other class as well, or move the borders."
                )

    def _by_split(self, table: pa.Table, name: str) -> Iterator[Chunk]:
        if "split" in table.column_names:
            numbers, table = splits_of_column(table["split"], self.path), table.drop_columns(["split"])
        elif self.settings is None:
            yield Chunk(WHOLE, name, table)
            return
        else:
            numbers = split_numbers(table["event_timestamp"].cast(pa.int64()).to_numpy(), self.settings)
        for number, split in (*enumerate(SPLITS), (-1, None)):
            if (numbers == number).any():
                yield Chunk(split, name, table.take(pa.array(np.flatnonzero(numbers == number))))

    def _rows(self) -> Iterator[pa.Table]:
        with self._reader() as (schema, batches):
            require_columns(schema, self.keys, self.features, self.path)
            waiting: list[pa.RecordBatch] = []
            rows = 0
            for batch in batches:
                while rows + batch.num_rows >= self.chunk_rows:
                    taken = self.chunk_rows - rows
                    yield _table([*waiting, batch.slice(0, taken)])
                    batch, waiting, rows = batch.slice(taken), [], 0
                if batch.num_rows:
                    waiting.append(batch)
                    rows += batch.num_rows
            if waiting:
                yield _table(waiting)

    @contextmanager
    def _reader(self) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
        try:
            open_reader = _csv if self.path.suffix.lower() == ".csv" else _parquet
            with open_reader(self.path) as reader:
                yield reader
        except (pa.ArrowException, duckdb.Error, OSError) as problem:
            first_line = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
            raise SourceDataError(
                f"{self.path} cannot be read: {first_line}. Expected whole Parquet, or CSV in UTF-8 with a header line "
                "and the name *.csv. Write the file again."
            ) from problem


@contextmanager
def _parquet(path: Path) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    with pq.ParquetFile(path) as file:
        if file.metadata.num_rows == 0:
            raise SourceDataError(_empty(path))
        yield file.schema_arrow, file.iter_batches(batch_size=_BATCH_ROWS)


@contextmanager
def _csv(path: Path) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """Identifiers and splits stay text, whatever they look like; moments and labels are null where they are neither."""
    if path.stat().st_size == 0:
        raise SourceDataError(_empty(path))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        # Nothing is skipped and nothing is a comment: every line is a row, or an error.
        source = "read_csv(?, header = true, sample_size = -1, skip = 0, comment = ''"
        names = [row[0] for row in connection.execute(f"DESCRIBE FROM {source})", [str(path)]).fetchall()]
        texts = [name for name in (*KEYS, *_CASTS, "split") if name in names]
        types = "{" + ", ".join(f"'{name}': 'VARCHAR'" for name in texts) + "}"
        typed = f"{source}, types = {types})" if texts else f"{source})"
        reader = connection.sql(f"FROM {typed}", params=[str(path)]).to_arrow_reader(_BATCH_ROWS)
        with duckdb.connect() as other:
            other.execute("SET TimeZone = 'UTC'")
            schema = _cast(other, reader.schema.empty_table()).schema
            yield schema, (part for batch in _some(reader, path) for part in _cast(other, batch).to_batches())


_CASTS = {"event_timestamp": "TIMESTAMPTZ", "label": "DOUBLE"}


def _cast(connection: duckdb.DuckDBPyConnection, rows: Any) -> pa.Table:
    """Return text as moments and labels, null where it is none.

    Not in the query that reads the file: DuckDB would hand the casts to its reader, which refuses the whole file.
    """
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
    for name, kind in _CASTS.items():
        if name in table.column_names:
            connection.register("texts", table.select([name]))
            column = connection.sql(f"SELECT TRY_CAST({name} AS {kind}) AS {name} FROM texts").to_arrow_table()
            table = table.set_column(table.column_names.index(name), name, column[name])
    return table


def _some(batches: Any, path: Path) -> Iterator[pa.RecordBatch]:
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        yield batch
    if rows == 0:
        raise SourceDataError(_empty(path))


def _empty(path: Path) -> str:
    return f"{path} is empty; expected at least one anchor. Check what wrote it."


def _table(batches: list[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(batches).combine_chunks()
