"""A source row as one text, from which its values can be had back: what `event_id` is the MD5 of.

MD5 serves as a fingerprint that every language has, not as protection. Cells are separated by U+001F, a missing cell
is `\\N`, and a backslash or U+001F inside a cell is escaped, so different rows never give the same text.
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["cell_texts", "row_texts", "row_values"]

SEPARATOR = "\x1f"
MISSING = "\\N"


def row_texts(table: pa.Table) -> pa.Array:
    """Return one text a row of `table`, over all of its columns in their order."""
    cells = [_escaped(cell_texts(table[name].combine_chunks())) for name in table.column_names]
    if len(cells) == 1:
        return pc.coalesce(cells[0], MISSING)
    return pc.binary_join_element_wise(*cells, SEPARATOR, null_handling="replace", null_replacement=MISSING)


def row_values(text: str, names: list[str]) -> dict[str, str | None]:
    """Return the cells of a row that `row_texts` made, by column name."""
    cells = text.split(SEPARATOR)
    return {name: _unescaped(cell) for name, cell in zip(names, cells, strict=True)}


def cell_texts(column: pa.Array) -> pa.Array:
    """Return the cells of a column as text: text and whole numbers as they are, the rest as Python writes it."""
    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_large_string(kind) or pa.types.is_integer(kind):
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return column.cast(pa.int64()).cast(pa.string())  # Python's datetime has no nanoseconds
    if pa.types.is_dictionary(kind):
        return cell_texts(column.dictionary_decode())
    if pa.types.is_nested(kind):
        return pa.array([_written(value) for value in column.to_pylist()], pa.string())
    encoded = column.dictionary_encode()
    written = [_written(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(written, pa.string()).take(encoded.indices)


def _written(value: Any) -> str | None:
    return None if value is None else str(value)


def _escaped(cells: pa.Array) -> pa.Array:
    if not pc.any(pc.match_substring_regex(cells, r"[\\\x1f]")).as_py():
        return cells
    return pc.replace_substring(pc.replace_substring(cells, "\\", "\\\\"), SEPARATOR, "\\u")


def _unescaped(cell: str) -> str | None:
    if cell == MISSING:
        return None
    return "\\".join(part.replace("\\u", SEPARATOR) for part in cell.split("\\\\"))
