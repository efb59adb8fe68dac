"""Columns in which every row says the same: they need not be carried about."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

__all__ = ["SoleTexts"]


class SoleTexts:
    """Finds which of some text columns have one and the same text in all rows."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = set(names)
        self._texts: dict[str, str] = {}

    def add(self, table: pa.Table) -> None:
        """Look at more rows."""
        if not table.num_rows:
            return
        for name in sorted(self._names):
            text = _sole_text(table[name].combine_chunks())
            if text is None or self._texts.setdefault(name, text) != text:
                self._names.discard(name)

    @property
    def found(self) -> dict[str, str]:
        """The columns of which that is true, each with its text."""
        return {name: text for name, text in self._texts.items() if name in self._names}


def _sole_text(cells: pa.Array) -> str | None:
    """The text of all cells; None where they differ, where one is missing, or where it has no letters."""
    _, offsets, data = cells.buffers()
    if cells.null_count or data is None:
        return None
    begins = np.frombuffer(offsets, np.int32)[cells.offset : cells.offset + len(cells) + 1]
    width = int(begins[1] - begins[0])
    if not width or (np.diff(begins) != width).any():
        return None
    letters = np.frombuffer(data, np.uint8)[begins[0] : begins[-1]]
    return None if (letters[width:] != letters[:-width]).any() else str(cells[0])
