"""Any CSV or Parquet file with one row an event, through the column mapping in the settings.

Two more files may say what is known about the items and the customers.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from training.adapters.attributes import attribute_chunk
from training.adapters.canonical_rows import canonical_chunk, require_columns
from training.adapters.contract import About, Adapter, CanonicalChunk, DataSettings, Description, Source
from training.adapters.mapping import check_mapping, check_type, constants_of, read_moment
from training.adapters.parquet_rows import parquet_schema
from training.adapters.readings import TypeReader
from training.adapters.source_rows import is_parquet, named_file, source_columns, source_rows

__all__ = ["ADAPTER"]


def locate(settings: DataSettings, path: Path | None) -> Source:
    """Return the files to read, after the mapping was found to make sense.

    Raises:
        SettingsError: no file is named, or the mapping names what does not exist, twice, or too little.
        SourceDataError: a file is missing or of another kind.
    """
    check_mapping(settings)
    found = named_file("table", path)
    more = [named_file("table", one.path).files[0] for one in (settings.items, settings.users) if one]
    return replace(found, files=(*found.files, *more))


def read(source: Source, settings: DataSettings) -> Iterator[CanonicalChunk]:
    """Yield the rows of a CSV or Parquet file as events, then those of the files about items and customers.

    Text columns keep their text as written; in Parquet they may be whole numbers. `event_type` is `purchase`
    unless a column or a constant says otherwise.

    Raises:
        SourceDataError: a file is empty, cut off or damaged, lacks a column, or has one of a wrong type.
    """
    moments = partial(read_moment, settings=settings)
    file, *more = source.files
    for one, columns in zip((file, *more), _mappings(settings), strict=True):
        _require(one, columns)
    types = TypeReader(settings.event_types)
    constants = constants_of(settings)
    for rows in source_rows(file):
        yield canonical_chunk(rows, settings.columns, constants, moments, types)
    beside: tuple[tuple[About, object], ...] = (("items", settings.items), ("users", settings.users))
    told = [about for about, given in beside if given]
    for about, one, columns in zip(told, more, _mappings(settings)[1:], strict=True):
        for rows in source_rows(one):
            yield attribute_chunk(about, rows, columns, moments, constants)


def _mappings(settings: DataSettings) -> list[dict[str, str]]:
    beside = [dict(one.columns) for one in (settings.items, settings.users) if one]
    return [dict(settings.columns), *beside]


def _require(file: Path, columns: dict[str, str]) -> None:
    require_columns(file.name, source_columns(file), columns)
    if is_parquet(file):
        schema = parquet_schema(file)
        for name, column in columns.items():
            check_type(file.name, name, column, schema.field(column).type)


ADAPTER = Adapter(
    Description(
        name="table",
        title="Any CSV or Parquet file, one row an event",
        licence="your own data",
        page="your own settings: the column mapping of [data.columns]",
        delay_hours=None,
    ),
    locate,
    read,
)
