"""Text as a table of its bytes, where all cells are equally long: then a whole column is looked at at once."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["text_letters"]


def text_letters(text: pa.Array) -> npt.NDArray[np.uint8] | None:
    """Return the bytes of n cells, uint8 of shape (n, width).

    None where there is no cell, one is missing, or they are of different widths or empty.
    """
    _, offsets, data = text.buffers()
    if text.null_count or not len(text) or data is None:
        return None
    begins = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1]
    width = int(begins[1] - begins[0])
    if not width or (np.diff(begins) != width).any():
        return None
    return np.frombuffer(data, np.uint8)[begins[0] : begins[-1]].reshape(-1, width)
