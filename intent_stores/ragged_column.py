"""List features as ragged columns: all elements in one array, and where each row's begin."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ragged:
    """n lists: row i is `values[offsets[i]:offsets[i + 1]]`.

    Attributes:
        values: all elements, row after row, in the dtype of the elements' kind (object for texts).
        offsets: (n + 1,) int64, rising, from 0 to `len(values)`.
    """

    values: NDArray[Any]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[Any]:
        if not 0 <= row < len(self):
            raise IndexError(f"Row {row} of {len(self)}.")
        return self.values[self.offsets[row] : self.offsets[row + 1]]


@dataclass(frozen=True)
class ByteRuns:
    """n texts as their UTF-8 bytes: text i is `data[offsets[i]:offsets[i + 1]]`. What Arrow holds, without a copy."""

    data: bytes
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def cells(self) -> list[bytes]:
        """Return each text's bytes."""
        return [self.data[start:stop] for start, stop in pairwise(self.offsets.tolist())]


Column = NDArray[Any] | Ragged
