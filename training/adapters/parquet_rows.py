"""Parquet as a stream of rows, each with its number."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.errors import SourceDataError
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
    """Yield the rows of a Parquet file; dictionaries and large strings come as plain text.

    Raises:
        SourceDataError: the file is missing, empty or damaged.
    """
    seen = 0
    with _explained(file), pq.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER) as parquet:
        for batch in parquet.iter_batches(BATCH_ROWS, use_threads=False):
            numbers = seen + 1 + np.arange(batch.num_rows, dtype=np.int64)
            seen += batch.num_rows
            columns = [column.cast(_plain(column.type)) for column in batch.columns]
            yield SourceRows(pa.table(columns, names=batch.schema.names), numbers)


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
