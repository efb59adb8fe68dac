"""Which rows repeat an earlier one, among more of them than memory holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.adapters.stable_order import stable_order

__all__ = ["MaybeSeen", "find_repetitions", "repeated"]

PART = 4_000_000  # numbers looked at together: 32 MB, and as much again to sort them
BLOCK = 1_000_000
SLOT_BITS = 26  # 8 MB; of fifty million numbers a third is taken for an earlier one, of three million one in 45


class MaybeSeen:
    """Tells which numbers may have come before: never no where it is yes, and seldom yes where it is no."""

    def __init__(self) -> None:
        self._bits = np.zeros(2 ** (SLOT_BITS - 3), np.uint8)

    def __call__(self, numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Return bool[n], and remember the numbers; they are as good as random."""
        slot = (numbers >> np.uint64(64 - SLOT_BITS)).astype(np.int64)
        order = stable_order(slot)
        slot = slot[order]
        byte, bit = slot >> 3, np.left_shift(1, slot & 7).astype(np.uint8)
        known = (self._bits[byte] & bit) != 0
        known[1:] |= slot[1:] == slot[:-1]
        seen = np.empty(slot.size, bool)
        seen[order] = known
        begins = np.flatnonzero(np.diff(byte, prepend=-1))
        if begins.size:
            self._bits[byte[begins]] |= np.bitwise_or.reduceat(bit, begins)
        return seen


def find_repetitions(connection: Any, file: Path, rows: int) -> int:
    """Make the table `repetition` (source_row, first_row) of the view `rows`, and return how many it holds.

    `file` has the lower half of each row's identity: it finds who may be repeated, the whole of it decides.
    """
    connection.register("doubtful", pa.table({"id_low": repeated(file, rows)}))
    connection.execute(
        """CREATE TABLE repetition AS
        SELECT r.source_row, first.source_row AS first_row FROM rows r JOIN (
            SELECT id_low, id_high, min(source_row) AS source_row FROM rows
            WHERE id_low IN (SELECT id_low FROM doubtful) GROUP BY id_low, id_high HAVING count(*) > 1
        ) first USING (id_low, id_high) WHERE r.source_row > first.source_row"""
    )
    connection.unregister("doubtful")
    return int(connection.execute("SELECT count(*) FROM repetition").fetchone()[0])


def repeated(file: Path, count: int) -> npt.NDArray[np.uint64]:
    """Return, each once, the numbers that come more than once in `file`: `count` uint64 as the machine has them.

    Equal numbers begin with the same bits, so the numbers of each beginning are looked at by themselves.
    """
    bits = max(0, (count - 1) // PART).bit_length()
    found = [_twice(_beginning_with(file, prefix, bits)) for prefix in range(2**bits)]
    return np.concatenate(found)


def _beginning_with(file: Path, prefix: int, bits: int) -> npt.NDArray[np.uint64]:
    if not bits:
        return np.fromfile(file, np.uint64)
    shift = np.uint64(64 - bits)
    parts = [block[block >> shift == prefix] for block in _blocks(file)]
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def _blocks(file: Path) -> Iterator[npt.NDArray[np.uint64]]:
    with file.open("rb") as handle:
        while (block := np.fromfile(handle, np.uint64, BLOCK)).size:
            yield block


def _twice(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    numbers.sort()
    return np.unique(numbers[1:][numbers[1:] == numbers[:-1]])
