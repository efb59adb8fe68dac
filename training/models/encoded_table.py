"""A table as a model takes it: in memory, or in a file of the scratch folder where memory would not hold it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.encoding import TabularEncoding
from training.dataset.examples import Examples
from training.scratch import ScratchFolder

__all__ = ["BLOCK_ROWS", "EncodedTable", "encode_table"]

BLOCK_ROWS = 65_536
"""Rows of a block: of 200 columns, fifty megabytes."""


class EncodedTable:
    """n rows, float32 of shape (n, columns), in memory, or in a file that goes when the object does."""

    def __init__(
        self, whole: NDArray[np.float32] | None, shape: tuple[int, int], scratch: ScratchFolder | None = None
    ) -> None:
        self._whole, self.shape, self._scratch = whole, shape, scratch

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def whole(self) -> NDArray[np.float32] | None:
        """All rows, where memory holds them."""
        return self._whole

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield all rows in order, at most `BLOCK_ROWS` of them at a time, float32 (rows, columns) each."""
        if self._whole is not None:
            for start in range(0, len(self), BLOCK_ROWS):
                yield self._whole[start : start + BLOCK_ROWS]
            return
        with _path(self._scratch).open("rb") as file:
            for start in range(0, len(self), BLOCK_ROWS):
                rows = min(BLOCK_ROWS, len(self) - start)
                yield np.fromfile(file, np.float32, rows * self.shape[1]).reshape(rows, self.shape[1])

    def rows(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return a few rows, float32 (len(numbers), columns)."""
        if self._whole is not None:
            return self._whole[numbers]
        mapped = np.memmap(_path(self._scratch), np.float32, "r", shape=self.shape)
        return np.array(mapped[numbers])


def encode_table(tabular: TabularEncoding, examples: Examples, scratch: Path | None) -> EncodedTable:
    """Encode `examples`: in memory if they are there, below `scratch` if they are read from disk part by part."""
    if not examples.stored:
        table = tabular.apply(examples.features)
        return EncodedTable(table, table.shape)
    folder, rows, columns = ScratchFolder(scratch), 0, len(tabular.names)
    with _path(folder).open("wb") as file:
        for part in examples.parts():
            table = np.ascontiguousarray(tabular.apply(part.features))
            table.tofile(file)
            rows, columns = rows + len(table), table.shape[1]
    return EncodedTable(None, (rows, columns), folder)


def _path(scratch: ScratchFolder | None) -> Path:
    if scratch is None:
        raise ValueError("A table without a scratch folder is in memory; expected it to be asked for there.")
    return scratch.path / "table.float32"
