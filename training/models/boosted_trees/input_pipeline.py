"""The matrix that XGBoost grows trees on: of a table on disk only its bins are in memory, a byte a number."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from training.models.encoded_table import EncodedTable

__all__ = ["matrix_of"]


class _Blocks(xgb.DataIter):
    """Hands XGBoost the blocks of a table, as often as it asks."""

    def __init__(self, table: EncodedTable) -> None:
        super().__init__()
        self._table = table
        self._left: Iterator[NDArray[np.float32]] = table.blocks()

    def reset(self) -> None:
        """Begin again."""
        self._left = self._table.blocks()

    def next(self, input_data: Callable[..., Any]) -> bool:
        """Hand over the next block; False when there is none."""
        block = next(self._left, None)
        if block is None:
            return False
        input_data(data=block)
        return True


def matrix_of(table: EncodedTable, label: NDArray[np.int8], threads: int, of_training: Any = None) -> Any:
    """Return the rows of `table` with their labels; those to judge by are put into the bins of training, if on disk."""
    if table.whole is None:
        matrix = xgb.QuantileDMatrix(_Blocks(table), nthread=threads, ref=of_training)
        matrix.set_label(label)
        return matrix
    kind = xgb.QuantileDMatrix if of_training is None else xgb.DMatrix
    return kind(table.whole, label, nthread=threads)
