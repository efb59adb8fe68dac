"""Cells to values: numbers and text in canonical types, with a mask of what could not be read."""

from collections.abc import Callable
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.events import TIMESTAMP

__all__ = ["Reading", "read_by_value", "read_number", "read_text", "unread"]

Reading = tuple[pa.Array, npt.NDArray[np.bool_]]
"""Values (null where there are none, or none readable), and bool[n]: there was something, but not readable."""

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def read_text(column: pa.Array) -> pa.Array:
    """Return `column` (text or whole numbers) as text, as written; a cell of blanks only is null."""
    text = column.cast(pa.string())
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(text), ""), pa.scalar(None, pa.string()), text)


def read_number(column: pa.Array) -> Reading:
    """Read a column of text, numbers or decimals as float64; NaN in a typed column means that there is nothing.

    Text is a decimal number with a point (`-1.5`, `2e3`); anything else, infinity included, could not be read.
    """
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = read_text(column)
        text = pc.utf8_trim_whitespace(text)
        fits = pc.match_substring_regex(text, NUMBER)
        values = pc.if_else(fits, text, pa.scalar(None, pa.string())).cast(pa.float64())
    else:
        values = column.cast(pa.float64(), safe=False)
        values = text = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    finite = pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))
    return finite, unread(text, finite)


def read_by_value(text: pa.Array, parse: Callable[[str], datetime]) -> Reading:
    """Read text as UTC microseconds with `parse`, once for each different value; ValueError means unreadable.

    Far faster than once a row where values repeat, as days do.
    """
    encoded = text.dictionary_encode()
    values = [_parsed(value, parse) for value in encoded.dictionary.to_pylist()]
    moments = pa.array(values, TIMESTAMP).take(encoded.indices)
    return moments, unread(text, moments)


def unread(cells: pa.Array, values: pa.Array) -> npt.NDArray[np.bool_]:
    """Return bool[n]: the cell holds something, but no value came of it."""
    mask: npt.NDArray[np.bool_] = pc.and_(pc.is_valid(cells), pc.is_null(values)).to_numpy(zero_copy_only=False)
    return mask


def _parsed(value: str, parse: Callable[[str], datetime]) -> datetime | None:
    try:
        return parse(value)
    except (ValueError, OverflowError):
        return None
