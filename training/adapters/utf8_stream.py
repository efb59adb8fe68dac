"""Bytes that claim to be UTF-8, made so: what is not is replaced by a mark, and can be told apart later.

The CSV parser gives up at a row of the wrong width that is not UTF-8; after this it never sees one.
"""

import codecs
import io
import re
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["MARK", "marked", "shown", "without_marks"]

MARK = "\U0010ffff"
"""Stands for a byte that is not UTF-8: a code point that Unicode keeps out of text for ever."""

READ_BYTES = 1 << 20
ESCAPED = re.compile("[\udc80-\udcff]")


def marked(handle: IO[bytes]) -> IO[bytes]:
    """Return a stream of the same bytes with a `MARK` for each one that is not UTF-8."""
    return io.BufferedReader(_Marked(handle), READ_BYTES)


def without_marks(text: pa.Array) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """Return the text with U+FFFD for each mark, and bool[n]: the cell had one."""
    broken: npt.NDArray[np.bool_] = pc.fill_null(pc.match_substring(text, MARK), False).to_numpy(zero_copy_only=False)
    return (pc.replace_substring(text, MARK, "\ufffd") if broken.any() else text), broken


def shown(text: str) -> str:
    """Return `text` with U+FFFD for each mark."""
    return text.replace(MARK, "\ufffd")


class _Marked(io.RawIOBase):
    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._waiting = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._waiting and not self._ended:
            block = self._handle.read(READ_BYTES)
            self._ended = not block
            self._waiting = memoryview(_encoded(self._decoder.decode(block, final=self._ended)))
        taken = self._waiting[: len(buffer)]
        buffer[: len(taken)] = taken
        self._waiting = self._waiting[len(taken) :]
        return len(taken)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return ESCAPED.sub(MARK, text).encode()
