"""Source rows to canonical columns, by a mapping: what every adapter with one row an event shares."""

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.errors import SourceDataError
from training.adapters.coded_text import coded, coded_by, of_rows
from training.adapters.contract import NUMBER_COLUMNS, ROW_SCHEMA, TEXT_COLUMNS, CanonicalChunk, Problem
from training.adapters.csv_rows import SourceRows
from training.adapters.readings import Reading, TypeReader, read_id, read_number

__all__ = ["canonical_chunk", "only_where", "require_columns", "with_column", "written_once"]

OUR_WORDS = TypeReader({})


def canonical_chunk(
    rows: SourceRows,
    columns: Mapping[str, str],
    constants: Mapping[str, str],
    read_timestamp: Callable[[pa.Array], Reading],
    read_type: Callable[[pa.Array], pa.Array] = OUR_WORDS,
) -> CanonicalChunk:
    """Return `rows` in the columns of `ROW_SCHEMA`.

    `columns` maps canonical names to columns of the source; `constants` gives values that hold for every row. A cell
    that holds something unreadable is null, and its row has a problem that says so.
    """
    problems = list(rows.problems)
    values: list[pa.Array] = []
    table = rows.table
    for field in ROW_SCHEMA:
        name, source = field.name, columns.get(field.name)
        if source is None:
            values.append(_constant(constants.get(name), field.type, rows.table.num_rows))
            continue
        cells = rows.table[source].combine_chunks()
        if name == "event_type":
            values.append(coded_by(read_type, cells))
            continue
        reason, read = _reader(name, read_timestamp)
        once = read is read_id or pa.types.is_dictionary(cells.type)
        cells, unreadable = _read_once(cells, read) if once else read(cells)
        if read is read_id:
            table = written_once(table, source, cells)
        if unreadable.any():
            problems.append(Problem(reason, f"column {source}", unreadable))
        values.append(cells)
    canonical = pa.Table.from_arrays(values, schema=ROW_SCHEMA)
    return CanonicalChunk(table, canonical, rows.source_row, tuple(problems), rows.unreadable)


def _read_once(cells: pa.Array, read: Callable[[pa.Array], Reading]) -> Reading:
    """Read every different cell once; ids come as codes."""
    codes = cells.dictionary_encode()
    values, unreadable = read(codes.dictionary)
    if read is read_id:
        return coded(pa.DictionaryArray.from_arrays(codes.indices, values)), of_rows(unreadable, codes.indices)
    return values.take(codes.indices), of_rows(unreadable, codes.indices)


def _reader(name: str, read_timestamp: Callable[[pa.Array], Reading]) -> tuple[str, Callable[[pa.Array], Reading]]:
    if name == "event_timestamp":
        return "unreadable_timestamp", read_timestamp
    return ("not_a_number", read_number) if name in NUMBER_COLUMNS else ("not_an_id", read_id)


def require_columns(source: str, present: list[str], wanted: Mapping[str, str]) -> None:
    """Refuse a source that lacks a wanted column; `wanted` maps canonical names to columns of the source.

    Raises:
        SourceDataError: with the columns that are missing and those that are there.
    """
    missing = [f"{column} (for {name})" for name, column in wanted.items() if column not in present]
    if missing:
        raise SourceDataError(
            f"{source} lacks {len(missing)} column(s): expected {', '.join(missing)}; "
            f"it has {', '.join(present) or 'none'}. {_advice(present)}"
        )


def _advice(present: list[str]) -> str:
    separator = next((mark for mark in ";\t|" if len(present) == 1 and mark in present[0]), None)
    if separator is None:
        return "Name the right columns or the right file."
    return f"Its columns are separated by {separator!r}; expected commas. Export it so, or convert it to Parquet."


def with_column(rows: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Return `rows` with other values in the canonical column `name`; text may be plain or coded."""
    if name in TEXT_COLUMNS:
        values = coded(values)
    return rows.set_column(rows.schema.get_field_index(name), ROW_SCHEMA.field(name), values)


def written_once(source: pa.Table, column: str, text: pa.Array) -> pa.Table:
    """Return `source` with the coded text of a column of whole numbers: a row's identity need not write it again.

    Columns of other types stay: their text as an id may be another one than their text as a cell.
    """
    place = source.schema.get_field_index(column)
    return source.set_column(place, column, text) if pa.types.is_integer(source.field(place).type) else source


def only_where(condition: pa.Array | pa.ChunkedArray, values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the values where the condition holds, null elsewhere."""
    return pc.if_else(condition, values, pa.scalar(None, values.type))


def _constant(value: str | None, kind: pa.DataType, length: int) -> pa.Array:
    if value is None:
        return pa.nulls(length, kind)
    if pa.types.is_floating(kind):
        return pa.repeat(pa.scalar(float(value), kind), length)
    return pa.DictionaryArray.from_arrays(np.zeros(length, np.int32), [value])
