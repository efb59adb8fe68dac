"""The bytes of a column of text, to look at all cells at once."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["text_bytes", "text_letters"]


def text_bytes(text: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]] | None:
    """Return the bytes of n cells, uint8 one after another, and where in the buffer each begins and the last ends.

    The places are int32 of shape (n + 1,); a missing cell has no bytes. None where there is no cell, or none ever had
    a byte.
    """
    _, offsets, data = text.buffers()
    if data is None or not len(text):
        return None
    ends = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1]
    return np.frombuffer(data, np.uint8)[ends[0] : ends[-1]], ends


def text_letters(text: pa.Array) -> npt.NDArray[np.uint8] | None:
    """Return the bytes of n cells, uint8 of shape (n, width).

    None where there is no cell, one is missing, or they are of different widths or empty.
    """
    found = None if text.null_count else text_bytes(text)
    if found is None:
        return None
    letters, ends = found
    width = int(ends[1] - ends[0])
    if not width or (np.diff(ends) != width).any():
        return None
    return letters.reshape(-1, width)
