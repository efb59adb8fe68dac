"""A source row as one text, from which its values can be had back: what `event_id` is the MD5 of.

MD5 serves as a fingerprint that every language has, not as protection. Cells are separated by U+001F, a missing cell
is `\\N`, and a backslash or U+001F inside a cell is escaped, so different rows never give the same text.
"""

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.adapters.clock_text import clock_texts
from training.adapters.coded_text import by_text
from training.adapters.text_letters import text_bytes

__all__ = ["cell_texts", "row_texts", "rows_as_json", "texts_as_json"]

SEPARATOR = "\x1f"
MISSING = "\\N"
TO_ESCAPE = r'["\\\x00-\x1f]'  # what JSON does not take as it is
FIRST_PLAIN = 0x20
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6}
PLAIN_FLOATS = (1e-4, 1e9)  # in between, Arrow and Python write a float with the same digits


def row_texts(table: pa.Table) -> pa.Array:
    """Return one text a row of `table`, over all of its columns in their order."""
    cells = [_escaped_texts(table[name].combine_chunks()) for name in table.column_names]
    if len(cells) == 1:
        return pc.coalesce(cells[0], MISSING)
    return pc.binary_join_element_wise(*cells, SEPARATOR, null_handling="replace", null_replacement=MISSING)


def _escaped_texts(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return by_text(lambda cells: _escaped(cell_texts(cells)), column)
    return _escaped(cell_texts(column))


def texts_as_json(texts: pa.Array, names: list[str]) -> pa.Array:
    """Return each row that `row_texts` made as a JSON object; `names` are its columns."""
    cells = pc.split_pattern(texts, SEPARATOR)
    columns = [_each(pc.list_element(cells, place), _unescaped) for place in range(len(names))]
    return rows_as_json(pa.table(columns, names=names))


def rows_as_json(table: pa.Table) -> pa.Array:
    """Return each row as a JSON object of its cells' texts, null where there is none, as `json.dumps` writes it."""
    parts: list[Any] = []
    before = "{"  # what ends the cell before: most need no look at each cell, and share a quotation mark with the name
    for name in table.column_names:
        cells = cell_texts(table[name].combine_chunks())
        key = f"{before}{json.dumps(name, ensure_ascii=False)}: "
        if cells.null_count or _needs_escape(cells):
            parts += [key, pc.coalesce(_quoted(cells), "null")]
            before = ", "
        else:
            parts += [f'{key}"', cells]
            before = '", '
    ended = f"{before.removesuffix(', ')}}}"
    return pc.binary_join_element_wise(*parts, ended, "") if parts else pa.repeat("{}", table.num_rows)


def _needs_escape(cells: pa.Array) -> bool:
    found = text_bytes(cells)
    if found is None:
        return False
    letters, _ = found
    return bool(((letters < FIRST_PLAIN) | (letters == ord('"')) | (letters == ord("\\"))).any())


def _quoted(cells: pa.Array) -> pa.Array:
    encoded = cells.dictionary_encode()
    words = encoded.dictionary
    quoted = pc.binary_join_element_wise('"', words, '"', "")
    special = pc.match_substring_regex(words, TO_ESCAPE)
    if pc.any(special).as_py():
        escaped = [json.dumps(word, ensure_ascii=False) for word in words.filter(special).to_pylist()]
        quoted = pc.replace_with_mask(quoted, special, pa.array(escaped, pa.string()))
    return quoted.take(encoded.indices)


def cell_texts(column: pa.Array) -> pa.Array:
    """Return the cells of a column as text: text and whole numbers as they are, the rest as Python writes it."""
    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_integer(kind):
        return _whole_numbers(column)
    if pa.types.is_large_string(kind):
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind):
        return _timestamps(column)
    if pa.types.is_floating(kind):
        return _floats(column.cast(pa.float64()))
    if pa.types.is_dictionary(kind):
        return by_text(cell_texts, column)
    if pa.types.is_date(kind):
        return _days(column)
    if pa.types.is_nested(kind):
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    return _each(column, str)


def _timestamps(column: pa.Array) -> pa.Array:
    kind = column.type
    if kind.unit == "ns":  # Python's datetime has no nanoseconds
        return column.cast(pa.int64()).cast(pa.string())
    if kind.tz in (None, "UTC"):
        told = clock_texts(column.cast(pa.int64()), PER_SECOND[kind.unit], "+00:00" if kind.tz else "")
        if told is not None:
            return told
    local = column.cast(pa.timestamp(kind.unit)) if kind.tz in (None, "UTC") else pc.local_timestamp(column)
    whole = pc.floor_temporal(local, unit="second")
    text = whole.cast(pa.timestamp("s")).cast(pa.string())
    millionths = pc.subtract(local.cast(pa.int64()), whole.cast(pa.int64()))
    if pc.any(pc.not_equal(millionths, 0)).as_py():
        digits = pc.utf8_slice_codeunits(pc.add(_as_millionths(millionths, kind.unit), 1_000_000).cast(pa.string()), 1)
        text = pc.if_else(pc.equal(millionths, 0), text, pc.binary_join_element_wise(text, digits, "."))
    if kind.tz is None:
        return text
    return pc.binary_join_element_wise(text, "+00:00" if kind.tz == "UTC" else _offsets(column, local), "")


def _days(column: pa.Array) -> pa.Array:
    """As Python writes dates; of what lies beyond its years the number."""
    days = pa.types.is_date32(column.type)
    return _each(column.cast(pa.int32() if days else pa.int64()), partial(_day, per_day=1 if days else 86_400_000))


def _day(number: int, per_day: int) -> str:
    try:
        return str(date(1970, 1, 1) + timedelta(days=number // per_day))
    except OverflowError:
        return str(number)


def _as_millionths(fraction: pa.Array, unit: str) -> pa.Array:
    return pc.multiply(fraction, 1000) if unit == "ms" else fraction


def _offsets(column: pa.Array, local: pa.Array) -> pa.Array:
    utc = column.cast(pa.timestamp(column.type.unit))
    seconds = pc.divide(pc.subtract(local.cast(pa.int64()), utc.cast(pa.int64())), PER_SECOND[column.type.unit])
    return _each(seconds, lambda offset: str(datetime(2000, 1, 1, tzinfo=timezone(timedelta(seconds=offset))))[19:])


def _whole_numbers(column: pa.Array) -> pa.Array:
    """Where they lie close together, each number between is written once, and looked up by its place."""
    extent = pc.min_max(column)
    least, most = extent["min"].as_py(), extent["max"].as_py()
    if least is None or most - least >= len(column) // 4:
        return column.cast(pa.string())
    signed = pa.types.is_signed_integer(column.type)
    wide = column.cast(pa.int64() if signed else pa.uint64())  # in a narrow type the differences may not fit
    between = np.arange(most - least + 1, dtype=np.int64 if signed else np.uint64)
    between += between.dtype.type(least)
    return pa.array(between).cast(pa.string()).take(pc.subtract(wide, pa.scalar(least, wide.type)))


def _floats(column: pa.Array) -> pa.Array:
    encoded = column.dictionary_encode()  # prices and pieces are few, and writing a float costs more than finding it
    return _different_floats(encoded.dictionary).take(encoded.indices)


def _different_floats(column: pa.Array) -> pa.Array:
    size = pc.abs(column)
    low, high = PLAIN_FLOATS
    plain = pc.or_(pc.equal(size, 0.0), pc.and_(pc.greater_equal(size, low), pc.less(size, high)))
    if not pc.all(plain).as_py():
        return _each(column, str)
    text = column.cast(pa.string())
    pointed = pc.binary_join_element_wise(text, ".0", "")
    return pc.if_else(pc.equal(pc.trunc(column), column), pointed, text)


def _each(column: pa.Array, write: Callable[[Any], str | None]) -> pa.Array:
    """Write every different value once."""
    encoded = column.dictionary_encode()
    written = [None if value is None else write(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(written, pa.string()).take(encoded.indices)


def _escaped(cells: pa.Array) -> pa.Array:
    if not _holds(cells, b"\\") and not _holds(cells, b"\x1f"):
        return cells
    return pc.replace_substring(pc.replace_substring(cells, "\\", "\\\\"), SEPARATOR, "\\u")


def _holds(cells: pa.Array, byte: bytes) -> bool:
    """Whether a byte may be in the cells; whatever else shares their buffer counts too."""
    data = cells.buffers()[2]
    return data is not None and np.frombuffer(data, np.uint8).tobytes().find(byte) >= 0


def _unescaped(cell: str) -> str | None:
    if cell == MISSING:
        return None
    return "\\".join(part.replace("\\u", SEPARATOR) for part in cell.split("\\\\"))
