"""Words as whole numbers: a million comparisons of text become a million comparisons of int32."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["UNKNOWN", "shared_codes"]

UNKNOWN = -1
"""The code of a word that nobody said: null, or ''."""


def shared_codes(columns: Sequence[Any]) -> list[NDArray[np.int32]]:
    """Return each column's words as int32: equal words have equal codes, in all columns; `UNKNOWN` for null and ''.

    Args:
        columns: Arrow arrays of text (plain, large, or dictionaries, whose words are not read one by one), or object
            arrays of `str` with None for unknown.

    The numbers mean nothing else, and change from one call to the next.

    >>> shared_codes([np.array(["tea", "", "milk", "tea"], object), pa.array(["milk", None])])
    [array([ 0, -1,  2,  0], dtype=int32), array([ 2, -1], dtype=int32)]
    """
    chunks = pa.chunked_array([_dictionary(column) for column in columns]).unify_dictionaries().chunks
    return [_codes(chunk) for chunk in chunks]


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
