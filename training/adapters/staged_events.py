"""The events that can be used, read back from the file in which they wait.

Arrow reads them, not DuckDB, which gives up the order of the file where it leaves rows out; and text comes with the
file's dictionaries, so that it is numbers that are left out and dealt out, and each text is copied once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from training.adapters.repetitions import RowSet

__all__ = ["StagedEvents"]

BUFFER = 1 << 20  # of each column; read ahead, the library would keep the whole file


@dataclass(frozen=True)
class StagedEvents:
    """A file of `staged_files`, and the rows of it that are left out, by `source_row`; None: none is."""

    file: Path
    left_out: RowSet | None = None

    def pieces(self, names: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """Yield these columns in the order of the file, `rows` at a time; text has dictionaries."""
        wanted = [*names, *({"source_row"} - {*names})]
        with pq.ParquetFile(
            self.file, pre_buffer=False, buffer_size=BUFFER, read_dictionary=self._texts(names)
        ) as file:
            yield from _pieces(self._kept(file.iter_batches(rows, columns=wanted, use_threads=False)), rows)

    def _texts(self, names: Sequence[str]) -> list[str]:
        schema = pq.read_schema(self.file)
        return [name for name in names if pa.types.is_string(schema.field(name).type)]

    def _kept(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if self.left_out is None:
                yield batch
                continue
            repeated = self.left_out.holds(batch.column("source_row").to_numpy())
            yield batch.filter(pa.array(~repeated)) if repeated.any() else batch


def _pieces(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Put the batches together, or apart, to tables of exactly `rows` rows, and what is left at the end."""
    waiting: list[pa.RecordBatch] = []
    missing = rows
    for batch in batches:
        while batch.num_rows >= missing:
            yield pa.Table.from_batches([*waiting, batch.slice(0, missing)])
            batch, waiting, missing = batch.slice(missing), [], rows
        if batch.num_rows:
            waiting.append(batch)
            missing -= batch.num_rows
    if waiting:
        yield pa.Table.from_batches(waiting)
