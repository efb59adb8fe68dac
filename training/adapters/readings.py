"""Cells to values: numbers, text and types of events in canonical form, with a mask of what could not be read."""

from collections.abc import Callable, Mapping
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.events import EVENT_TYPES, TIMESTAMP

__all__ = ["WHOLE", "Reading", "TypeReader", "read_by_value", "read_id", "read_number", "read_text", "unread"]

Reading = tuple[pa.Array, npt.NDArray[np.bool_]]
"""Values (null where there are none, or none readable), and bool[n]: there was something, but not readable."""

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
WHOLE = 2.0**53  # from here on a float no longer tells one whole number from the next
LAST_OF_ASCII = 0x7F
NO_TEXT = None  # a typed null of pyarrow would import pandas


def read_text(column: pa.Array) -> pa.Array:
    """Return `column` (text, plain or coded, or whole numbers) as text, as written; a cell of blanks only is null."""
    text = column.cast(pa.string())
    if pa.types.is_integer(column.type) or not _may_be_blank(text):
        return text
    blank = pc.equal(pc.utf8_trim_whitespace(text), "")
    return pc.if_else(blank, NO_TEXT, text) if pc.any(blank).as_py() else text


def _may_be_blank(text: pa.Array) -> bool:
    """Whether a cell is empty, or begins with a blank or with what is beyond ASCII, which has blanks too."""
    _, offsets, data = text.buffers()
    if data is None or not len(text):
        return True
    starts = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1]
    held = starts[1:] > starts[:-1]
    if not held.all():  # a null has no characters either
        if np.count_nonzero(~held) > text.null_count:
            return True
        starts = starts[:-1][held]
    else:
        starts = starts[:-1]
    first = np.frombuffer(data, np.uint8)[starts]
    return bool(((first <= ord(" ")) | (first > LAST_OF_ASCII)).any())


def read_id(column: pa.Array) -> Reading:
    """Read text, whole numbers, or floats and decimals that hold some, as many tools write ids beside missing ones.

    The float 17850.0 is the text `17850`; NaN is null; a number with a fraction could not be read.
    """
    if pa.types.is_decimal(column.type) and column.type.scale == 0:
        return column.cast(pa.string()), np.zeros(len(column), dtype=bool)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if not pa.types.is_floating(column.type):
        text = read_text(column)
        return text, np.zeros(len(column), dtype=bool)
    given = column.cast(pa.float64())
    given = pc.if_else(pc.is_nan(given), pa.scalar(None, pa.float64()), given)
    whole = pc.and_(pc.equal(pc.trunc(given), given), pc.less(pc.abs(given), WHOLE))
    text = pc.if_else(whole, given, pa.scalar(None, pa.float64())).cast(pa.int64()).cast(pa.string())
    return text, unread(given, text)


def read_number(column: pa.Array) -> Reading:
    """Read a column of text, numbers or decimals as float64; NaN in a typed column means that there is nothing.

    Text is a decimal number with a point (`-1.5`, `2e3`); anything else, infinity included, could not be read.
    """
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = pc.utf8_trim_whitespace(read_text(column))
        values = _numbers(text)
    else:
        values = column.cast(pa.float64(), safe=False)
        values = text = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    finite = pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))
    return finite, unread(text, finite)


def _numbers(text: pa.Array) -> pa.Array:
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid:  # one cell is not a number: look at each
        fits = pc.match_substring_regex(text, NUMBER)
        return pc.if_else(fits, text, NO_TEXT).cast(pa.float64())


def read_by_value(text: pa.Array, parse: Callable[[str], datetime]) -> Reading:
    """Read text as UTC microseconds with `parse`, once for each different value; ValueError means unreadable.

    Far faster than once a row where values repeat, as days do.
    """
    encoded = text.dictionary_encode()
    values = [_parsed(value, parse) for value in encoded.dictionary.to_pylist()]
    moments = pa.array(values, TIMESTAMP).take(encoded.indices)
    return moments, unread(text, moments)


class TypeReader:
    """Reads a source's words for types of events.

    A word is looked up as written, then without regard to case; a word of ours needs no entry. Others stay as they
    are, and go to quarantine as `unknown_event_type`.
    """

    def __init__(self, words: Mapping[str, str]) -> None:
        folded = {word.strip().casefold(): ours for word, ours in words.items()}
        self._exact = dict(words)
        self._folded = {kind: kind for kind in EVENT_TYPES} | folded

    def __call__(self, column: pa.Array) -> pa.Array:
        """Return the types of a column of text or whole numbers; blanks are null."""
        encoded = read_text(column).dictionary_encode()
        ours = [None if word is None else self._ours(word) for word in encoded.dictionary.to_pylist()]
        return pa.array(ours, pa.string()).take(encoded.indices)

    def _ours(self, word: str) -> str:
        return self._exact.get(word) or self._folded.get(word.strip().casefold(), word)


def unread(cells: pa.Array, values: pa.Array) -> npt.NDArray[np.bool_]:
    """Return bool[n]: the cell holds something, but no value came of it."""
    if cells.null_count == values.null_count:
        return np.zeros(len(cells), dtype=bool)
    mask: npt.NDArray[np.bool_] = pc.and_(pc.is_valid(cells), pc.is_null(values)).to_numpy(zero_copy_only=False)
    return mask


def _parsed(value: str, parse: Callable[[str], datetime]) -> datetime | None:
    try:
        return parse(value)
    except (ValueError, OverflowError):
        return None
