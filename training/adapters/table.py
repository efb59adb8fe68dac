"""Any CSV or Parquet file with one row an event, through the column mapping in `intent.toml`."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.errors import SettingsError, SourceDataError
from feature_repo.events import EVENT_TYPES
from training.adapters.canonical_rows import canonical_chunk, require_columns
from training.adapters.contract import (
    NUMBER_COLUMNS,
    TEXT_COLUMNS,
    Adapter,
    CanonicalChunk,
    DataSettings,
    Description,
)
from training.adapters.csv_rows import SourceRows, csv_columns, read_csv, refuse_twins
from training.adapters.source_times import is_readable_time, read_time, zone_named

__all__ = ["ADAPTER"]

REQUIRED = ("user_id", "event_timestamp")
CANONICAL = ("event_timestamp", *TEXT_COLUMNS, *NUMBER_COLUMNS)
CSV_SUFFIXES = (".csv", ".txt", ".zip")
PARQUET_SUFFIXES = (".parquet", ".pq")
BATCH_ROWS = 131_072


def locate(settings: DataSettings, path: Path | None) -> Path:
    """Return the file to read, after the mapping was found to make sense.

    Raises:
        SettingsError: no file is named, or the mapping names what does not exist, twice, or too little.
        SourceDataError: the file is missing or of another kind.
    """
    _check_mapping(settings)
    zone_named(settings.timezone)
    if path is None:
        raise SettingsError(
            "No file is named: got no path; expected a CSV or Parquet file. Set [data] path, or name it: "
            "`intent ingest --adapter table PATH`."
        )
    if not path.is_file():
        raise SourceDataError(f"There is no file {path}; expected a CSV or Parquet file. Check the path.")
    if path.suffix.lower() not in CSV_SUFFIXES + PARQUET_SUFFIXES:
        raise SourceDataError(
            f"{path.name} is of an unknown kind; expected a name that ends in "
            f"{', '.join(CSV_SUFFIXES + PARQUET_SUFFIXES)}. Rename or convert the file."
        )
    return path


def read(file: Path, settings: DataSettings) -> Iterator[CanonicalChunk]:
    """Yield the rows of a CSV or Parquet file as events.

    Text columns keep their text as written; in Parquet they may be whole numbers. `event_type` is `purchase`
    unless a column or a constant says otherwise.

    Raises:
        SourceDataError: the file is empty, cut off or damaged, lacks a column, or has one of a wrong type.
    """
    in_parquet = file.suffix.lower() in PARQUET_SUFFIXES
    present = _parquet_columns(file, settings) if in_parquet else csv_columns(file)
    require_columns(file.name, present, settings.columns)
    constants = dict(settings.constants)
    if "event_type" not in settings.columns:
        constants.setdefault("event_type", "purchase")
    read_moment = partial(read_time, zone=settings.timezone)
    for rows in _parquet_rows(file) if in_parquet else read_csv(file):
        yield canonical_chunk(rows, settings.columns, constants, read_moment)


def _check_mapping(settings: DataSettings) -> None:
    columns, constants = settings.columns, settings.constants
    unknown = sorted({*columns, *constants} - set(CANONICAL))
    if unknown:
        _refuse(f"names fields that do not exist: got {', '.join(unknown)}", f"any of {', '.join(CANONICAL)}")
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        _refuse(f"lacks {', '.join(missing)}", "a column for user_id and one for event_timestamp")
    both = sorted({*columns} & {*constants})
    if both:
        _refuse(f"gives {', '.join(both)} twice, as a column and as a constant", "one of the two")
    sources = list(columns.values())
    shared = sorted({source for source in sources if sources.count(source) > 1})
    if shared:
        fields = [name for name, source in columns.items() if source in shared]
        _refuse(f"gives one column to several fields: got {', '.join(fields)} from {', '.join(shared)}", "one each")
    _check_constants(settings)


def _check_constants(settings: DataSettings) -> None:
    kind = settings.constants.get("event_type", "purchase")
    if kind not in EVENT_TYPES:
        _refuse(f"has the constant event_type = {kind!r}", f"one of {', '.join(EVENT_TYPES)}")
    for name in NUMBER_COLUMNS:
        try:
            number = float(settings.constants.get(name, "0"))
        except ValueError:
            number = float("nan")
        if not np.isfinite(number):
            _refuse(f"has the constant {name} = {settings.constants[name]!r}", "a number")


def _refuse(problem: str, expected: str) -> None:
    raise SettingsError(
        f"The column mapping {problem}; expected {expected}. Change [data.columns] or [data.constants] in intent.toml."
    )


def _parquet_columns(file: Path, settings: DataSettings) -> list[str]:
    with _explained(file), pq.ParquetFile(file) as parquet:
        schema = parquet.schema_arrow
    refuse_twins(file, schema.names)
    for name, column in settings.columns.items():
        if column in schema.names:
            _check_type(file, name, column, _plain(schema.field(column).type))
    return list(schema.names)


def _check_type(file: Path, name: str, column: str, kind: pa.DataType) -> None:
    test = pa.types
    if name == "event_timestamp":
        fits, expected = is_readable_time(kind), "timestamps, dates, ISO 8601 text or whole Unix seconds"
    elif name in NUMBER_COLUMNS:
        fits = test.is_string(kind) or test.is_integer(kind) or test.is_floating(kind) or test.is_decimal(kind)
        expected = "numbers, or text that holds numbers"
    else:
        fits, expected = test.is_string(kind) or test.is_integer(kind), "text or whole numbers"
    if not fits:
        raise SourceDataError(
            f"Column {column} of {file.name} is of a wrong type for {name}: got {kind}; expected {expected}. "
            "Convert the column, or map another one."
        )


def _parquet_rows(file: Path) -> Iterator[SourceRows]:
    seen = 0
    with _explained(file), pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(BATCH_ROWS):
            numbers = seen + 1 + np.arange(batch.num_rows, dtype=np.int64)
            seen += batch.num_rows
            columns = [column.cast(_plain(column.type)) for column in batch.columns]
            yield SourceRows(pa.table(columns, names=batch.schema.names), numbers)


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as problem:
        raise SourceDataError(
            f"{file.name} is not a whole Parquet file ({problem}); it is empty, cut off or damaged. Copy it again."
        ) from problem


ADAPTER = Adapter(
    Description(
        name="table",
        title="Any CSV or Parquet file, one row an event",
        licence="your own data",
        page="the column mapping in intent.toml",
        delay_hours=None,
    ),
    locate,
    read,
)
