"""Where a Feast `FileSource` keeps its rows, and how they are read: files, columns, times, row numbers."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
from feast.data_format import ParquetFormat
from feast.infra.offline_stores.file_source import FileSource

from intent_stores.errors import (
    ConfigurationError,
    SourceChangedError,
    SourceColumnMissingError,
    SourceColumnTypeError,
    SourceError,
    SourceNotFoundError,
)
from intent_stores.sql_text import identifier, listing, text

SEQUENCE_LENGTH_TAG = "sequence.length"

# A row's number: the file's position in the sorted list, then the row's position in its file.
ROW_NUMBER = "((file_index::BIGINT << 40) | file_row_number)"

_WILDCARD = re.compile(r"[*?\[]")

# What row numbers are made of while a file is read: a column of such a name would be taken for it.
_RESERVED = {"file_index", "file_row_number", "__asof_row"}

_MICROSECOND_TYPES = {"TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS"}


@dataclass(frozen=True)
class ParquetSource:
    """The Parquet files of one source, fixed at the moment it was opened.

    Attributes:
        name: the source's name, for messages.
        files: the files in the order that decides ties ("last in the file" is the last row of the last one).
        column_types: DuckDB type by column name, hive partition columns included.
        partitions: names of the columns that are hive folders ("day=…") below the source's own folder.
        sequence_length: N of the tag `sequence.length`; None for a source of plain rows.
        fingerprint: what tells a replaced file; empty for remote files.
    """

    name: str
    files: tuple[str, ...]
    column_types: dict[str, str]
    partitions: tuple[str, ...]
    sequence_length: int | None
    fingerprint: tuple[tuple[str, int, int, int], ...]

    @cached_property
    def relation(self) -> str:
        """The files as a DuckDB table function."""
        return read_parquet(self.files, bool(self.partitions))

    def require(self, column: str, role: str) -> str:
        """Return the column's DuckDB type.

        Raises:
            SourceColumnMissingError: the source has no such column; the message lists those it has.
        """
        if column not in self.column_types:
            raise SourceColumnMissingError(
                f"Source {self.name!r} has no column {column!r}, which is used as {role}; it has "
                f"{sorted(self.column_types)}. Correct the name, add a field_mapping, or, if the files changed "
                "since the last `feast apply`, bring the definitions up to date and apply again."
            )
        return self.column_types[column]

    def micros(self, column: str, role: str) -> str:
        """Return SQL that gives a timestamp column as microseconds since 1970 in UTC (BIGINT).

        A naive timestamp is UTC. Nanoseconds are rounded up, so that a value is never known too early.

        Raises:
            SourceColumnMissingError: no such column.
            SourceColumnTypeError: the column holds no timestamps.
        """
        kind = self.require(column, role)
        name = identifier(column)
        if kind in _MICROSECOND_TYPES:
            return f"epoch_us({name})"
        if kind.endswith("_NS"):
            nanos = f"epoch_ns({name})"
            return f"({nanos} // 1000 + ({nanos} % 1000 > 0)::BIGINT)"
        raise SourceColumnTypeError(
            f"Source {self.name!r}: column {column!r}, used as {role}, has type {kind}; expected a timestamp. "
            "Write it as timestamp[us, tz=UTC] (a date or a number says no moment)."
        )

    def check_unchanged(self) -> None:
        """Refuse an answer that was read from two versions of a file.

        Raises:
            SourceChangedError: a file was replaced, changed or removed since the source was opened.
        """
        if self.fingerprint != fingerprint(self.files):
            raise SourceChangedError(
                f"Source {self.name!r}: its files were replaced while they were being read, so no answer is given. "
                "Run the same request again; write new rows as new files in a folder to avoid it."
            )


def row_count(connection: duckdb.DuckDBPyConnection, source: ParquetSource) -> int:
    """Return how many rows a source has; read from the files' footers."""
    return connection.execute(f"SELECT count(*) FROM {source.relation}").fetchall()[0][0]


def read_parquet(files: tuple[str, ...], hive: bool) -> str:
    """Return the table function that reads these files as one table, columns matched by name."""
    options = ", union_by_name = true" if len(files) > 1 else ""
    return f"read_parquet([{listing(text(f) for f in files)}], hive_partitioning = {str(hive).lower()}{options})"


def open_source(connection: duckdb.DuckDBPyConnection, data_source: Any, repo_path: str | Path | None) -> ParquetSource:
    """Find a source's files and columns.

    Arguments:
        connection: where remote paths and globs are listed and schemas are read.
        data_source: a Feast `FileSource` of Parquet, or a push source above one. Its path is a file, a folder
            (all `*.parquet` below it, hive partitions become columns), a glob, or an URL that DuckDB can read.
        repo_path: the feature repository, against which a relative path is resolved.

    Raises:
        SourceError: not a Parquet file source, its files cannot be read, or a column has a name that is reserved.
        SourceNotFoundError: no file there.
        ConfigurationError: the tag `sequence.length` is not a positive whole number.
    """
    source = file_source(data_source)
    location = str(FileSource.get_uri_for_file_path(repo_path, source.path))
    if location.startswith("s3://"):
        for setting in s3_settings(source):
            connection.execute(setting)
    files = _find_files(connection, source.name, location)
    partitions = partition_columns(files[0], location)
    try:
        rows = connection.execute(f"DESCRIBE SELECT * FROM {read_parquet(files, bool(partitions))}").fetchall()
    except duckdb.Error as error:
        raise SourceError(
            f"Source {source.name!r} at {location!r} cannot be read as Parquet: {error}. "
            "Check that every file there is a complete Parquet file and that their columns agree."
        ) from error
    _refuse_reserved(source.name, [row[0] for row in rows])
    return ParquetSource(
        name=source.name,
        files=files,
        column_types={row[0]: row[1] for row in rows},
        partitions=partitions,
        sequence_length=sequence_length(source),
        fingerprint=fingerprint(files),
    )


def file_source(data_source: Any) -> Any:
    """Return the Parquet `FileSource` behind a data source.

    Raises:
        SourceError: there is none, or it is of another kind or format.
    """
    batch = getattr(data_source, "batch_source", None)
    source = data_source if batch is None else batch
    if not isinstance(source, FileSource) or not isinstance(source.file_format, ParquetFormat | None):
        given = type(source).__name__
        raise SourceError(
            f"Source {getattr(source, 'name', source)!r} is a {given} with format "
            f"{type(getattr(source, 'file_format', None)).__name__}; AsofOfflineStore reads FileSource with Parquet. "
            "Export it to Parquet, or use the offline store made for it."
        )
    return source


def s3_settings(source: Any) -> list[str]:
    """Return what tells DuckDB of a source's own S3 endpoint, in SQL; nothing for one without.

    Feast, like Arrow, takes the scheme with it, and such endpoints mostly know buckets by path.
    """
    if not source.s3_endpoint_override:
        return []
    scheme, _, host = source.s3_endpoint_override.rpartition("://")
    endpoint = text(host.rstrip("/"))
    secure = "false" if scheme == "http" else "true"
    return [f"SET s3_endpoint = {endpoint}", "SET s3_url_style = 'path'", f"SET s3_use_ssl = {secure}"]


def sequence_length(source: Any) -> int | None:
    """Return N of a source's tag `sequence.length`, or None where there is no such tag."""
    value = (source.tags or {}).get(SEQUENCE_LENGTH_TAG)
    if value is None:
        return None
    if not str(value).isascii() or not str(value).isdigit() or int(value) < 1:
        raise ConfigurationError(
            f"Source {source.name!r}: tag {SEQUENCE_LENGTH_TAG!r} is {value!r}; expected a positive whole number "
            "such as '50'. Correct the tag of the source and apply again."
        )
    return int(value)


def partition_columns(file: str, location: str) -> tuple[str, ...]:
    """Return the names of hive folders between a source's location and one of its files, outermost first."""
    root = _fixed_folder(location)
    below = file[len(root) :] if file.startswith(root) else ""
    return tuple(part.split("=", 1)[0] for part in below.split("/")[:-1] if "=" in part)


def fingerprint(files: tuple[str, ...]) -> tuple[tuple[str, int, int, int], ...]:
    """Return inode, size and time of change of each local file; remote files have none."""
    stats = []
    for name in files:
        if "://" in name:
            continue
        try:
            stat = Path(name).stat()
            stats.append((name, stat.st_ino, stat.st_size, stat.st_mtime_ns))
        except FileNotFoundError:
            stats.append((name, 0, 0, 0))
    return tuple(stats)


def _find_files(connection: duckdb.DuckDBPyConnection, name: str, location: str) -> tuple[str, ...]:
    if "://" not in location and Path(location).is_file():
        return (location,)
    pattern = location
    if "://" not in location and Path(location).is_dir():
        pattern = f"{_without_wildcards(location)}/**/*.parquet"
    elif "://" in location and not location.endswith(".parquet") and "*" not in location:
        pattern = f"{location.rstrip('/')}/**/*.parquet"
    found = connection.execute(f"SELECT file FROM glob({text(pattern)}) ORDER BY file").fetchall()
    files = tuple(row[0] for row in found if not _is_hidden(row[0], location))
    if not files:
        raise SourceNotFoundError(
            f"Source {name!r}: no Parquet file at {location!r}; expected a file, a folder or a glob with at least "
            "one. Relative paths start at the folder of feature_store.yaml; check the path of the FileSource."
        )
    return files


def _fixed_folder(location: str) -> str:
    """Return what of a location all its files begin with: itself, or the folder before a glob's first wildcard."""
    fixed = _WILDCARD.split(location, maxsplit=1)[0]
    if fixed == location or ("://" not in location and Path(location).exists()):
        return location
    return fixed[: fixed.rfind("/") + 1]


def _refuse_reserved(name: str, columns: list[str]) -> None:
    taken = [column for column in columns if column.lower() in _RESERVED]
    if taken:
        raise SourceError(
            f"Source {name!r} has the columns {taken}; expected none of {sorted(_RESERVED)}, by which rows "
            "are told apart while files are read. Rename them in the files."
        )


def _without_wildcards(folder: str) -> str:
    """Return a folder's path with the characters that a glob would interpret taken literally."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in folder.rstrip("/"))


def _is_hidden(file: str, location: str) -> bool:
    """Tell files of unfinished or internal writes (`_temporary`, `.part-…`), which no reader may see."""
    root = _fixed_folder(location)
    below = file[len(root) :] if file.startswith(root) else Path(file).name
    return any(part.startswith((".", "_")) for part in below.split("/") if part)
