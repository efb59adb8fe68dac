"""Which rows repeat an earlier one, among more of them than memory holds."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["MaybeSeen", "RowSet", "find_repetitions", "repeated"]

PART = 4_000_000  # numbers looked at together: 32 MB, and as much again to sort them
BLOCK = 1_000_000
SLOT_BITS = 26  # 8 MB; of fifty million numbers a third is taken for an earlier one, of three million one in 45
LAST_BITS = 18
Numbers = npt.NDArray[np.uint64]
Slots = npt.NDArray[Any]  # whole numbers, not below 0
Mask = npt.NDArray[np.bool_]
Filter = Callable[[Numbers], Mask]


class MaybeSeen:
    """Tells which numbers may have come before: never no where it is yes, and seldom yes where it is no.

    A number stands for itself by its first bits, its slot.
    """

    def __init__(self) -> None:
        self._met = np.zeros(2 ** (SLOT_BITS - 3), np.uint8)
        self._met_again = np.zeros_like(self._met)

    def __call__(self, numbers: Numbers) -> Mask:
        """Return bool[n], and remember the numbers; they are as good as random."""
        slot = _slots(numbers)
        ordered: Slots = np.sort(slot)  # in this order the memory is walked through, not jumped about in
        known = _holds(self._met, ordered)
        known[1:] |= ordered[1:] == ordered[:-1]
        _put(self._met, ordered)
        again = ordered[known]
        _put(self._met_again, again)
        return _among(slot, again)

    def forget(self) -> None:
        """Give the memory back; nothing can be asked any more."""
        self._met = self._met_again = np.empty(0, np.uint8)

    def may_repeat(self, numbers: Numbers) -> Mask:
        """Return bool[n], of numbers that were all remembered: it may have come more than once."""
        return _holds(self._met_again, _slots(numbers))


class RowSet:
    """Some of the rows of a source, by number: a bit for each row there is."""

    def __init__(self, most: int) -> None:
        self._bits = np.zeros((most >> 3) + 1, np.uint8)

    def add(self, numbers: Slots) -> None:
        """Take numbers in, int64[n], none above `most`."""
        _put(self._bits, numbers)

    def holds(self, numbers: Slots) -> Mask:
        """Return bool[n] of numbers of which none is above `most`."""
        return _holds(self._bits, numbers)


def find_repetitions(connection: Any, file: Path, rows: int, may_repeat: Filter) -> int:
    """Make the table `repetition` (source_row, first_row) of the view `rows`, and return how many it holds.

    `file` has the lower half of each row's identity: it finds who may be repeated, the whole of it decides.
    `may_repeat` is asked before: it may say yes where nothing is repeated, never no where something is.
    """
    connection.register("doubtful", pa.table({"id_low": repeated(file, rows, may_repeat)}))
    connection.execute(
        """CREATE TABLE repetition AS
        WITH suspects AS MATERIALIZED (SELECT source_row, id_low, id_high FROM rows SEMI JOIN doubtful USING (id_low))
        SELECT r.source_row, first.source_row AS first_row FROM suspects r JOIN (
            SELECT id_low, id_high, min(source_row) AS source_row FROM suspects
            GROUP BY id_low, id_high HAVING count(*) > 1
        ) first USING (id_low, id_high) WHERE r.source_row > first.source_row"""
    )
    connection.unregister("doubtful")
    return int(connection.execute("SELECT count(*) FROM repetition").fetchone()[0])


def repeated(file: Path, count: int, may_repeat: Filter | None = None) -> Numbers:
    """Return, each once, the numbers that come more than once in `file`: `count` uint64 as the machine has them.

    Equal numbers begin with the same bits, so the numbers of each beginning are looked at by themselves; those that
    `may_repeat` denies are not looked at.
    """
    bits = max(0, (count - 1) // PART).bit_length()
    found = [_twice(_chosen(file, prefix, bits, may_repeat)) for prefix in range(2**bits)]
    return np.concatenate(found)


def _chosen(file: Path, prefix: int, bits: int, may_repeat: Filter | None) -> Numbers:
    """The numbers that begin with these bits and may be repeated."""
    parts = []
    for block in _blocks(file):
        some = block[block >> np.uint64(64 - bits) == prefix] if bits else block
        parts.append(some[may_repeat(some)] if may_repeat else some)
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def _blocks(file: Path) -> Iterator[Numbers]:
    with file.open("rb") as handle:
        while (block := np.fromfile(handle, np.uint64, BLOCK)).size:
            yield block


def _twice(numbers: Numbers) -> Numbers:
    numbers.sort()
    return np.unique(numbers[1:][numbers[1:] == numbers[:-1]])


def _slots(numbers: Numbers) -> Slots:
    return (numbers >> np.uint64(64 - SLOT_BITS)).astype(np.uint32)


def _holds(bits: npt.NDArray[np.uint8], slot: Slots) -> Mask:
    held: Mask = (bits[_byte(slot)] & _bit(slot)) != 0
    return held


def _put(bits: npt.NDArray[np.uint8], slot: Slots) -> None:
    """Set the bits; of several in one byte only the last one is set at once, so the others are set after it."""
    byte, bit = _byte(slot), _bit(slot)
    while byte.size:
        bits[byte] |= bit
        lost = (bits[byte] & bit) == 0
        byte, bit = byte[lost], bit[lost]


def _byte(slot: Slots) -> npt.NDArray[np.intp]:
    return (slot >> 3).astype(np.intp)  # numpy looks up other types several times as slowly


def _bit(slot: Slots) -> npt.NDArray[np.uint8]:
    return np.left_shift(np.uint8(1), (slot & 7).astype(np.uint8))


def _among(slot: Slots, few: Slots) -> Mask:
    """bool[n]: the slot is one of a few; most that are not are told apart by their last bits."""
    marked = np.zeros(2**LAST_BITS, bool)
    marked[few & (2**LAST_BITS - 1)] = True
    places = np.flatnonzero(marked[(slot & (2**LAST_BITS - 1)).astype(np.intp)])
    found = np.zeros(slot.size, bool)
    found[places] = np.isin(slot[places], few)
    return found
