"""Columns with few different texts in a whole source: rows are ordered with numbers for them, and spelt at the end."""

from collections.abc import Sequence

import pyarrow as pa

from training.adapters.coded_text import TEXT, coded, only_used

__all__ = ["SharedTexts"]

MOST_TEXTS = 5_000  # of a column: to look up more of them takes what it spares


class SharedTexts:
    """Gives each text of a column a number, the same in every piece; a column with too many texts is left alone."""

    def __init__(self, names: Sequence[str]) -> None:
        self._numbers: dict[str, dict[str, int]] = {name: {} for name in names}
        self._texts: dict[str, pa.Array] = {}

    def add(self, table: pa.Table) -> None:
        """Look at more rows."""
        for name, numbers in [*self._numbers.items()]:
            texts = coded(table[name]).dictionary
            if len(texts) <= MOST_TEXTS:
                for text in texts.to_pylist():
                    numbers.setdefault(text, len(numbers))
            if max(len(texts), len(numbers)) > MOST_TEXTS:
                del self._numbers[name]

    def numbered(self, piece: pa.Table) -> pa.Table:
        """Return rows that were looked at (text has dictionaries) with int32 numbers instead of texts."""
        for name in self._shared(piece):
            numbers = [self._places(name, chunk) for chunk in piece[name].chunks]
            piece = piece.set_column(piece.column_names.index(name), name, pa.chunked_array(numbers, pa.int32()))
        return piece

    def spelt(self, table: pa.Table) -> pa.Table:
        """Return a `numbered` table with its texts again, coded; each column is one piece."""
        for name in self._shared(table):
            if name not in self._texts:
                self._texts[name] = pa.array(self._numbers[name], pa.string())
            column = pa.DictionaryArray.from_arrays(table[name].combine_chunks(), self._texts[name])
            table = table.set_column(table.column_names.index(name), pa.field(name, TEXT), only_used(column))
        return table

    def _shared(self, table: pa.Table) -> list[str]:
        return [name for name in table.column_names if self._numbers.get(name)]

    def _places(self, name: str, cells: pa.DictionaryArray) -> pa.Array:
        numbers = self._numbers[name]
        return pa.array([numbers[text] for text in cells.dictionary.to_pylist()], pa.int32()).take(cells.indices)
