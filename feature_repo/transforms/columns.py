"""From an Arrow table, as an offline store returns it, to the arrays that the transforms take."""

from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.transforms.ragged import Ragged

__all__ = ["columns_of"]


def columns_of(table: pa.Table) -> dict[str, Any]:
    """Return each column of `table` as an array of shape (n,), or as a `Ragged` where it holds lists.

    Numbers become float64 with NaN for null, text an object array with None for null; timestamps become int64
    microseconds since 1970 (they are never null where this project asks for one). A null list is an empty list.
    """
    return {name: _column(table[name].combine_chunks()) for name in table.column_names}


def _column(array: Any) -> Any:
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return _lists(array)
    if pa.types.is_timestamp(array.type):
        return array.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        return np.asarray(array.to_numpy(zero_copy_only=False), np.float64)
    return np.asarray(array.to_numpy(zero_copy_only=False), object)


def _lists(array: Any) -> Ragged:
    lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values = array.flatten()
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        words = values.dictionary_encode()  # each word becomes one object, however often it comes
        known = np.array([*words.dictionary.to_pylist(), None], object)
        return Ragged(known[words.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)], offsets)
    return Ragged(values.to_numpy(zero_copy_only=False), offsets)
