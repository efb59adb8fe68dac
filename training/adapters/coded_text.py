"""Text as codes: each different text of a chunk is kept, read and judged once, however many rows have it."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["TEXT", "by_text", "coded", "coded_by", "first_given", "of_rows", "only_used", "plain"]

TEXT = pa.dictionary(pa.int32(), pa.string())
Column: TypeAlias = pa.Array | pa.ChunkedArray


def coded(column: Column) -> pa.DictionaryArray:
    """Return a column of text, plain or coded, as codes; no text is null, and hardly ever one is there twice."""
    return _without_null(_encoded(column))


def plain(column: Column) -> pa.Array:
    """Return a column as it is without codes."""
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return flat.dictionary_decode() if pa.types.is_dictionary(flat.type) else flat


def coded_by(change: Callable[[pa.Array], pa.Array], column: Column) -> pa.DictionaryArray:
    """Return, as codes, the text that `change` makes of each different cell; what is null stays so."""
    codes = _encoded(column)
    texts = change(codes.dictionary).dictionary_encode()
    return pa.DictionaryArray.from_arrays(texts.indices.take(codes.indices), texts.dictionary)


def by_text(change: Callable[[pa.Array], pa.Array], column: Column) -> pa.Array:
    """Return what `change` makes of each cell, asked once for every different one; what is null stays so."""
    codes = _encoded(column)
    return change(codes.dictionary).take(codes.indices)


def first_given(one: Column, other: Column) -> pa.DictionaryArray:
    """Return the cells of `one`, and those of `other` where they are missing; Arrow's `coalesce` spells out all."""
    one, other = coded(one), coded(other)
    codes = pc.coalesce(one.indices, pc.add(other.indices, pa.scalar(len(one.dictionary), pa.int32())))
    return pa.DictionaryArray.from_arrays(codes, pa.concat_arrays([one.dictionary, other.dictionary]))


def of_rows(broken: npt.NDArray[np.bool_], codes: pa.Array) -> npt.NDArray[np.bool_]:
    """Return bool[rows] for a mask of texts, by the rows' codes; no for a row without one."""
    if not broken.any():
        return np.zeros(len(codes), bool)
    return np.append(broken, False)[pc.fill_null(codes, broken.size).to_numpy()]


def only_used(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """Return the same cells, without the texts that no cell has."""
    codes = column.indices
    used = np.zeros(len(column.dictionary), bool)
    used[(codes.drop_null() if codes.null_count else codes).to_numpy()] = True
    if used.all():
        return column
    place = pa.array(np.cumsum(used, dtype=np.int32) - np.int32(1))
    return pa.DictionaryArray.from_arrays(place.take(codes), column.dictionary.filter(pa.array(used)))


def _encoded(column: Column) -> pa.DictionaryArray:
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return flat.dictionary_encode()


def _without_null(column: pa.DictionaryArray) -> pa.DictionaryArray:
    texts = column.dictionary
    if not texts.null_count:
        return column
    valid = texts.is_valid().to_numpy(zero_copy_only=False)
    place = pa.array(np.cumsum(valid, dtype=np.int32) - np.int32(1), mask=~valid)
    return pa.DictionaryArray.from_arrays(place.take(column.indices), texts.drop_null())
