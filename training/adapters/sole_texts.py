"""Columns in which every row says the same: they need not be carried about."""

from collections.abc import Sequence

import pyarrow as pa

from training.adapters.coded_text import coded, only_used

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
            text = _sole_text(table[name])
            if text is None or self._texts.setdefault(name, text) != text:
                self._names.discard(name)

    @property
    def found(self) -> dict[str, str]:
        """The columns of which that is true, each with its text."""
        return {name: text for name, text in self._texts.items() if name in self._names}


def _sole_text(cells: pa.ChunkedArray) -> str | None:
    """The text of all cells; None where they differ, where one is missing, or where it has no letters."""
    texts = only_used(coded(cells)).dictionary
    return str(texts[0]) or None if len(texts) == 1 and not cells.null_count else None
