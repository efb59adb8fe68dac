"""Rows in the order of a key, however many: dealt out to files by ranges of the key, and each file sorted by itself."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.adapters.stable_order import order_of_rows, stable_order

__all__ = ["in_order"]

PART_ROWS = 250_000
MOST_PARTS = 500  # open files; beyond 125 million rows the parts grow instead
Keys = npt.NDArray[np.int64]


def in_order(
    batches: pa.RecordBatchReader,
    keys: Sequence[str],
    sample: Keys,
    rows: int,
    folder: Path,
    part_rows: int = 0,
) -> Iterator[pa.Table]:
    """Yield the rows sorted by `keys` (int64 columns; together they tell every row from the others).

    `sample` are some values of the first key, which say where to cut about `rows` rows into parts of `part_rows` (0: as
    many as usual); the parts are kept in `folder`, and memory holds one of them. Rows that share a value of the first
    key and come sorted by the others are streamed, however many they are.
    """
    cuts = _cuts(sample, min(-(-rows // (part_rows or PART_ROWS)), MOST_PARTS))
    files = _dealt(batches, keys[0], cuts, folder)
    for file in files:
        if file is not None:
            yield from _sorted_file(file, keys)
            file.unlink()


def _cuts(sample: Keys, parts: int) -> Keys:
    """Where parts begin. A value that fills parts of its own is cut off on both sides."""
    if parts < 2 or not sample.size:
        return np.empty(0, np.int64)
    ordered = np.sort(sample)
    begins = ordered[np.arange(1, parts) * ordered.size // parts]
    heavy = {before for before, value in pairwise(begins.tolist()) if before == value}
    return np.unique(np.concatenate([begins, np.array([value + 1 for value in heavy], np.int64)]))


def _dealt(batches: pa.RecordBatchReader, key: str, cuts: Keys, folder: Path) -> list[Path | None]:
    """Write each row to the file of its part, in the order in which the rows come."""
    files: list[Path | None] = [None] * (cuts.size + 1)
    writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
    try:
        for batch in batches:
            for part, some in _parted(batch, key, cuts):
                if part not in writers:
                    file = folder / f"part-{part:05d}.arrows"
                    files[part] = file
                    writers[part] = pa.ipc.new_stream(file, batch.schema)
                writers[part].write_batch(some)
    finally:
        for writer in writers.values():
            writer.close()
    return files


def _parted(batch: pa.RecordBatch, key: str, cuts: Keys) -> Iterator[tuple[int, pa.RecordBatch]]:
    if not batch.num_rows:
        return
    place = np.searchsorted(cuts, batch.column(key).to_numpy(), side="right")
    if place[0] == place[-1] and (place == place[0]).all():
        yield int(place[0]), batch
        return
    dealt = batch.take(pa.array(stable_order(place)))
    rows = np.bincount(place, minlength=cuts.size + 1)
    ends = np.cumsum(rows)
    for part in np.flatnonzero(rows).tolist():
        begin = int(ends[part - 1]) if part else 0
        yield part, dealt.slice(begin, int(ends[part]) - begin)


def _sorted_file(file: Path, keys: Sequence[str]) -> Iterator[pa.Table]:
    if _is_sorted(file, keys):
        with pa.ipc.open_stream(file) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])
        return
    with pa.ipc.open_stream(file) as reader:
        table = reader.read_all().combine_chunks()  # one piece: to take from several costs more than to join them
    yield table.take(pa.array(order_of_rows([table[key].to_numpy() for key in keys])))


def _is_sorted(file: Path, keys: Sequence[str]) -> bool:
    last: tuple[int, ...] | None = None
    with pa.ipc.open_stream(file) as reader:
        for batch in reader:
            columns = [batch.column(key).to_numpy() for key in keys]
            if last is not None and tuple(int(column[0]) for column in columns) < last:
                return False
            if not _rises(columns):
                return False
            last = tuple(int(column[-1]) for column in columns)
    return True


def _rises(columns: list[Keys]) -> bool:
    """Each row is at or after the one before it."""
    equal = np.ones(len(columns[0]) - 1, dtype=bool)
    for column in columns:
        step = np.diff(column)
        if (equal & (step < 0)).any():
            return False
        equal &= step == 0
    return True
