"""Rows that arrive by push or by logging, added to their source without touching what is there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast.infra.offline_stores.file_source import FileSource

from intent_stores.duckdb_session import SessionLimits, duckdb_session
from intent_stores.errors import SourceColumnMissingError, SourceError, WriteError
from intent_stores.parquet_files import PARQUET, append_part, replace_file
from intent_stores.parquet_source import file_source, open_source
from intent_stores.sequence_rows import explode_sequences


def append_rows(limits: SessionLimits, repo_path: Any, feature_view: Any, table: pa.Table) -> None:
    """Append rows, in the source's column names, to a feature view's batch source.

    A folder gets one more part file; a single file is written anew beside itself and replaced in one step. For a
    source tagged `sequence.length`, lists become one row for each event.
    """
    source = file_source(feature_view.batch_source)
    location = _writable(source, repo_path)
    with duckdb_session(limits) as connection:
        opened = open_source(connection, source, repo_path)
    schema = pq.read_schema(opened.files[0])
    if opened.sequence_length is not None:
        table = explode_sequences(table, source)
    table = _source_names(table, source, {*schema.names, *opened.partitions})
    for folders, part in _partitions(table, opened.partitions):
        rows = _like_source(part, schema, source.name)
        if location.is_dir():
            append_part(rows, location.joinpath(*folders))
        else:
            replace_file(pa.concat_tables([pq.read_table(location), rows]), location)


def append_logs(repo_path: Any, data: pa.Table | Path, destination: Any) -> None:
    """Append one part to the folder of a logging destination, partitioned as it says."""
    folder = Path(FileSource.get_uri_for_file_path(repo_path, destination.path))
    table = data if isinstance(data, pa.Table) else pq.read_table(data)
    for folders, part in _partitions(table, destination.partition_by or ()):
        append_part(part, folder.joinpath(*folders))


def _source_names(table: pa.Table, source: Any, known: set[str]) -> pa.Table:
    """Undo a field mapping where a column arrives under its feature's name, and drop a DataFrame's index."""
    to_source = {new: old for old, new in (source.field_mapping or {}).items()}
    # Feast turns a DataFrame's index into a column; it was never part of the rows.
    table = table.drop_columns([c for c in table.column_names if c.startswith("__index_level_") and c not in known])
    return table.rename_columns([name if name in known else to_source.get(name, name) for name in table.column_names])


def _partitions(table: pa.Table, names: Sequence[str]) -> list[tuple[list[str], pa.Table]]:
    """Split rows by hive folder; the partition columns live in the folders' names only."""
    if not names:
        return [([], table)]
    missing = sorted(set(names) - set(table.column_names))
    if missing:
        raise SourceColumnMissingError(
            f"Rows to write lack the partition columns {missing}; they have {table.column_names}. "
            "Nothing was written. Add these columns before writing."
        )
    names, parts = list(names), []
    for row in table.select(names).group_by(names).aggregate([]).to_pylist():
        chosen = table
        for name in names:
            value = row[name]
            column = chosen.column(name)
            same = pc.is_null(column) if value is None else pc.equal(column, value)
            chosen = chosen.filter(same)
        folders = [f"{name}={'__HIVE_DEFAULT_PARTITION__' if row[name] is None else row[name]}" for name in names]
        parts.append((folders, chosen.drop_columns(names)))
    return parts


def _writable(source: Any, repo_path: Any) -> Path:
    location = str(FileSource.get_uri_for_file_path(repo_path, source.path))
    path = Path(location)
    if "://" in location or not (path.is_dir() or path.is_file()):
        raise SourceError(
            f"Source {source.name!r} at {location!r} cannot be appended to; expected a local folder or Parquet file "
            f"that exists. Make the folder with one {PARQUET} file that shows its columns, or use another store."
        )
    return path


def _like_source(table: pa.Table, schema: pa.Schema, name: str) -> pa.Table:
    if set(table.column_names) != set(schema.names):
        missing = sorted(set(schema.names) - set(table.column_names))
        unknown = sorted(set(table.column_names) - set(schema.names))
        raise SourceColumnMissingError(
            f"Rows for source {name!r} lack the columns {missing} and have {unknown} beyond the source's; expected "
            f"exactly {schema.names}. Add or drop these columns before writing."
        )
    try:
        return table.select(schema.names).cast(schema.remove_metadata())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise WriteError(
            f"Rows for source {name!r} do not fit its types: {error}; expected {schema.remove_metadata()}. "
            "Nothing was written. Convert the columns before writing."
        ) from error
