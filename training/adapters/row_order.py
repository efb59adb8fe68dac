"""Rows in the order of a key, however many: dealt out to parts by ranges of the key, and each part sorted by itself.

Where the rows come nearly in order, a part is complete soon after it was begun, and waits in memory; else the parts are
files.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.adapters.order_part import OrderPart
from training.adapters.stable_order import stable_order

__all__ = ["in_order", "spelt_out"]

PART_ROWS = 250_000
MOST_PARTS = 500  # open files; beyond 125 million rows the parts grow instead
MOST_WAITING = 500_000  # rows of incomplete parts in memory
Keys = npt.NDArray[np.int64]


def in_order(
    pieces: Iterable[pa.Table],
    keys: Sequence[str],
    sample: Keys,
    rows: int,
    folder: Path,
    part_rows: int = 0,
    beforehand: Callable[[], Iterable[Keys]] | None = None,
) -> Iterator[pa.Table]:
    """Yield the rows sorted by `keys` (int64 columns; together they tell every row from the others).

    Text may have dictionaries, and comes without. `sample` are some values of the first key, which say where to cut
    about `rows` rows into parts of `part_rows` (0: as many as usual); memory holds one of them, and files in `folder`
    the others. Rows that share a value of the first key and come sorted by the others are streamed, however many they
    are. `beforehand` tells the first key of each of the pieces: then the parts of rows that come nearly in order wait
    in memory. Either way the tables are the same.
    """
    cuts = _cuts(sample, min(-(-rows // (part_rows or PART_ROWS)), MOST_PARTS))
    last = _last_pieces(beforehand(), cuts) if beforehand else None
    if last is not None:
        yield from _as_they_come(pieces, keys, cuts, last)
        return
    parts = _dealt(pieces, keys[0], cuts, folder)
    for part in parts:
        yield from part.tables(keys)
        part.forget()


def _cuts(sample: Keys, parts: int) -> Keys:
    """Where parts begin. A value that fills parts of its own is cut off on both sides."""
    if parts < 2 or not sample.size:
        return np.empty(0, np.int64)
    ordered = np.sort(sample)
    begins = ordered[np.arange(1, parts) * ordered.size // parts]
    heavy = {before for before, value in pairwise(begins.tolist()) if before == value}
    return np.unique(np.concatenate([begins, np.array([value + 1 for value in heavy], np.int64)]))


def _last_pieces(keys: Iterable[Keys], cuts: Keys) -> Keys | None:
    """The number of the piece with which each part and all before it are complete; None if too many rows would wait."""
    found = [np.bincount(np.searchsorted(cuts, piece, side="right"), minlength=cuts.size + 1) for piece in keys]
    if not found:
        return None
    rows = np.stack(found)
    last = np.where(rows.any(axis=0), len(rows) - 1 - np.argmax(rows[::-1] > 0, axis=0), 0)
    last = np.maximum.accumulate(last)
    gone = np.bincount(last, rows.sum(axis=0), minlength=len(rows)).cumsum()
    waiting = rows.sum(axis=1).cumsum() - np.append(0, gone[:-1])
    return last if waiting.max() <= MOST_WAITING else None


def _as_they_come(pieces: Iterable[pa.Table], keys: Sequence[str], cuts: Keys, last: Keys) -> Iterator[pa.Table]:
    parts = [OrderPart() for _ in last]
    complete = 0
    for number, piece in enumerate(pieces):
        _deal(piece, keys[0], cuts, parts)
        while complete < last.size and last[complete] <= number:
            yield from parts[complete].tables(keys)
            parts[complete].forget()
            complete += 1


def _dealt(pieces: Iterable[pa.Table], key: str, cuts: Keys, folder: Path) -> list[OrderPart]:
    """Write each row to the file of its part, in the order in which the rows come."""
    parts = [OrderPart(folder / f"part-{number:05d}.arrows") for number in range(cuts.size + 1)]
    try:
        for piece in pieces:
            _deal(piece, key, cuts, parts)
    finally:
        for part in parts:
            part.close()
    return parts


def _deal(piece: pa.Table, key: str, cuts: Keys, parts: Sequence[OrderPart]) -> None:
    for batch in piece.to_batches():
        for part, some in _parted(batch, key, cuts):
            parts[part].add(some)
    for one in parts:
        one.end_piece()


def _parted(batch: pa.RecordBatch, key: str, cuts: Keys) -> Iterator[tuple[int, pa.RecordBatch]]:
    if not batch.num_rows:
        return
    keys = batch.column(key).to_numpy()
    if (keys[1:] < keys[:-1]).any():  # sorted by itself first, a part's rows are gathered from few places at once
        order = stable_order(keys)
        batch, keys = batch.take(pa.array(order)), keys[order]
    dealt = spelt_out(batch)
    ends = np.append(np.searchsorted(keys, cuts), keys.size)
    rows = np.diff(ends, prepend=0)
    for part in np.flatnonzero(rows).tolist():
        yield part, dealt.slice(int(ends[part] - rows[part]), int(rows[part]))


def spelt_out(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with plain text instead of dictionaries."""
    columns = [one.dictionary_decode() if pa.types.is_dictionary(one.type) else one for one in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
