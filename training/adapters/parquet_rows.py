"""Parquet as a stream of rows, each with its number."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.errors import SourceDataError
from training.adapters.coded_text import TEXT, only_used
from training.adapters.csv_rows import SourceRows, refuse_twins

__all__ = ["PARQUET_SUFFIXES", "parquet_schema", "read_parquet"]

PARQUET_SUFFIXES = (".parquet", ".pq")
BATCH_ROWS = 65_536
BUFFER = 1 << 20  # of each column; read ahead, the library would keep the whole file


def parquet_schema(file: Path) -> pa.Schema:
    """Return the columns of a Parquet file, with the types in which `read_parquet` gives them.

    Raises:
        SourceDataError: the file is missing, empty or damaged, or names a column twice.
    """
    with _explained(file), pq.ParquetFile(file) as parquet:
        schema = parquet.schema_arrow
    refuse_twins(file, schema.names)
    return pa.schema([pa.field(field.name, _plain(field.type)) for field in schema])


def read_parquet(file: Path) -> Iterator[SourceRows]:
    """Yield the rows of a Parquet file; text comes plain, or as codes where the file has them.

    Raises:
        SourceDataError: the file is missing, empty or damaged.
    """
    seen = 0
    with (
        _explained(file),
        pq.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER, read_dictionary=_with_dictionary(file)) as parquet,
    ):
        for table in _joined(parquet.iter_batches(BATCH_ROWS, use_threads=False)):
            numbers = seen + 1 + np.arange(table.num_rows, dtype=np.int64)
            seen += table.num_rows
            columns = [_readable(column.combine_chunks()) for column in table.columns]
            yield SourceRows(pa.table(columns, names=table.column_names), numbers)


def _joined(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Small batches together: where text has codes, one ends with each row group of the file."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= BATCH_ROWS // 2:
            yield pa.Table.from_batches(waiting)
            waiting, rows = [], 0
    if rows:
        yield pa.Table.from_batches(waiting)


def _with_dictionary(file: Path) -> list[str]:
    """The columns of text that the file holds as codes: where it does not, to make them costs more than it spares."""
    with pq.ParquetFile(file) as parquet:
        schema, found = parquet.schema_arrow, parquet.metadata
    if not found.num_row_groups or found.num_columns != len(schema):  # nothing there, or columns within columns
        return []
    first = found.row_group(0)
    texts = [place for place, field in enumerate(schema) if pa.types.is_string(field.type)]
    return [schema.names[place] for place in texts if first.column(place).has_dictionary_page]


def _readable(column: pa.Array) -> pa.Array:
    return only_used(column) if column.type == TEXT else column.cast(_plain(column.type))


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_null(kind):
        return pa.string()
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    if not file.is_file():
        raise SourceDataError(f"There is no file {file}; expected a Parquet file. Check the path.")
    try:
        yield
    except (pa.ArrowException, OSError) as problem:
        raise SourceDataError(
            f"{file.name} is not a whole Parquet file ({problem}); it is empty, cut off or damaged. Copy it again."
        ) from problem
