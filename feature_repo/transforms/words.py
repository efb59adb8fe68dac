"""Words as whole numbers: a million comparisons of text become a million comparisons of int32."""

from collections.abc import Iterable, Sequence
from itertools import chain, count, repeat
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["UNKNOWN", "few_words", "shared_codes", "sought_codes"]

UNKNOWN = -1
"""The code of a word that nobody said: null, or ''."""

_NOT_LISTED = -2
_FEW = 2048
_WORDS = frozenset([str, type(None)])


def shared_codes(columns: Sequence[Any]) -> list[NDArray[np.int32]]:
    """Return each column's words as int32: equal words have equal codes, in all columns; `UNKNOWN` for null and ''.

    Args:
        columns: Arrow arrays of text (plain, large, or dictionaries, whose words are not read one by one), or object
            arrays of `str` with None for unknown.

    The numbers mean nothing else, and change from one call to the next.

    >>> shared_codes([np.array(["tea", "", "milk", "tea"], object), pa.array(["milk", None])])
    [array([ 0, -1,  2,  0], dtype=int32), array([ 2, -1], dtype=int32)]
    """
    few = [few_words(column) for column in columns]
    listed = [words for words in few if words is not None]
    if len(listed) == len(columns):
        return _codes_of_few(listed)
    chunks = pa.chunked_array([_dictionary(column) for column in columns]).unify_dictionaries().chunks
    return [_codes(chunk) for chunk in chunks]


def sought_codes(listed: Any, sought: Any) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the codes of two columns, in which those of `sought` that are not `listed` may have any other number.

    Nearly none of the hundreds of items of a ranking are among a customer's events: they need no code of their own.

    >>> sought_codes(np.array(["tea", "", "milk"], object), np.array(["milk", "salt", None, "fish"], object))
    (array([ 0, -1,  2], dtype=int32), array([ 2, -2, -1, -2], dtype=int32))
    """
    words, others = few_words(listed), few_words(sought)
    if words is None or others is None:
        codes, of_sought = shared_codes([listed, sought])
        return codes, of_sought
    numbers = _numbered(words)
    found = map(numbers.get, others, repeat(_NOT_LISTED))
    return (
        np.fromiter(map(numbers.__getitem__, words), np.int32, len(words)),
        np.fromiter(found, np.int32, len(others)),
    )


def few_words(column: Any) -> list[str | None] | None:
    """Return the words of a request's column as a list: one customer's events, or some items.

    None where Arrow is the better way: for many words, for those that are Arrow's already, and for what is no word.
    """
    if not isinstance(column, np.ndarray) or column.dtype != object or len(column) > _FEW:
        return None
    words: list[str | None] = column.tolist()
    return words if set(map(type, words)) <= _WORDS else None


def _codes_of_few(columns: Sequence[Sequence[str | None]]) -> list[NDArray[np.int32]]:
    codes = _numbered(chain.from_iterable(columns))
    return [np.fromiter(map(codes.__getitem__, words), np.int32, len(words)) for words in columns]


def _numbered(words: Iterable[str | None]) -> dict[str | None, int]:
    codes = dict(zip(dict.fromkeys(words), count(), strict=False))
    codes[None] = codes[""] = UNKNOWN
    return codes


def _dictionary(column: Any) -> Any:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not isinstance(array, pa.Array):
        array = pa.array(array, pa.string(), from_pandas=True)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    return pa.DictionaryArray.from_arrays(array.indices.cast(pa.int32()), array.dictionary.cast(pa.string()))


def _codes(array: Any) -> NDArray[np.int32]:
    codes: NDArray[np.int32] = array.indices.fill_null(UNKNOWN).to_numpy(zero_copy_only=False)
    silent = pc.fill_null(pc.equal(array.dictionary, ""), True).to_numpy(zero_copy_only=False)
    for code in np.flatnonzero(silent):
        codes = np.where(codes == code, np.int32(UNKNOWN), codes)
    return codes
