"""A range of rows that wait to be sorted, in memory or in a file."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.adapters.stable_order import order_of_rows

__all__ = ["OrderPart"]

Keys = npt.NDArray[np.int64]


class OrderPart:
    """Rows in the order in which they come, in pieces; without a `file` they are kept in memory."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None
        self._batches: list[pa.RecordBatch] = []
        self._pieces: list[int] = []
        self._rows = 0

    def add(self, some: pa.RecordBatch) -> None:
        """Append rows to the current piece."""
        self._rows += some.num_rows
        if self._file is None:
            self._batches.append(some)
            return
        if self._writer is None:
            self._writer = pa.ipc.new_stream(self._file, some.schema)
        self._writer.write_batch(some)

    def end_piece(self) -> None:
        """What is added from here on is in another piece."""
        if self._rows:
            self._pieces.append(self._rows)
            self._rows = 0

    def close(self) -> None:
        """No more rows come."""
        if self._writer is not None:
            self._writer.close()

    def forget(self) -> None:
        """Remove the rows."""
        self._batches = []
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def tables(self, keys: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the rows sorted by `keys`: the pieces if they are sorted as they came, else one table."""
        if not self._pieces:
            return
        if _rise(self._read(), keys):
            yield from self._in_pieces()
            return
        batches, self._batches = list(self._read()), []
        table = pa.Table.from_batches(batches).combine_chunks()  # one piece: to take from several costs more
        batches.clear()
        yield table.take(pa.array(order_of_rows([table[key].to_numpy() for key in keys])))

    def _read(self) -> Iterator[pa.RecordBatch]:
        if self._file is None:
            yield from self._batches
            return
        with pa.ipc.open_stream(self._file) as reader:
            yield from reader

    def _in_pieces(self) -> Iterator[pa.Table]:
        batches = self._read()
        for rows in self._pieces:
            piece = [next(batches)]
            while sum(batch.num_rows for batch in piece) < rows:
                piece.append(next(batches))
            yield pa.Table.from_batches(piece).combine_chunks()


def _rise(batches: Iterator[pa.RecordBatch], keys: Sequence[str]) -> bool:
    """Each row is at or after the one before it."""
    last: tuple[int, ...] | None = None
    for batch in batches:
        columns = [batch.column(key).to_numpy() for key in keys]
        if last is not None and tuple(int(column[0]) for column in columns) < last:
            return False
        if not _rises(columns):
            return False
        last = tuple(int(column[-1]) for column in columns)
    return True


def _rises(columns: list[Keys]) -> bool:
    equal = np.ones(len(columns[0]) - 1, dtype=bool)
    for column in columns:
        step = np.diff(column)
        if (equal & (step < 0)).any():
            return False
        equal &= step == 0
    return True
