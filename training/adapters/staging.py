"""Where chunks wait until the whole source is read: a DuckDB file beside the target, so memory stays bounded.

What needs all rows at once (repetitions, order, what changed) is done here, out of core; the file is removed after.
"""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feature_repo.errors import InputError
from feature_repo.events import QUARANTINE_SCHEMA
from training.adapters.contract import NUMBER_COLUMNS, TEXT_COLUMNS, CanonicalChunk
from training.adapters.row_text import row_texts, row_values

__all__ = ["Staging", "staging"]

MEMORY = "512MB"
WRITTEN = ("ingest", "events", "users", "items", "quarantine", "data_card.json", "data_card.md", "log.json")
SPILL = "100GB"  # a limit, because DuckDB would otherwise take the whole disk for one sort


class Staging:
    """Rows that can be used (table `staged`) and rows that cannot (table `quarantine`).

    `staged` has `source_row`, `event_id`, `source_text`, `moment` (microseconds since 1970, UTC) and the columns of
    `ROW_SCHEMA`.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.names: list[str] = []
        texts = ", ".join(f"{name} VARCHAR" for name in TEXT_COLUMNS)
        numbers = ", ".join(f"{name} DOUBLE" for name in NUMBER_COLUMNS)
        connection.execute(
            f"CREATE TABLE staged (source_row BIGINT, event_id VARCHAR, source_text VARCHAR, moment BIGINT, "
            f"{texts}, {numbers})"
        )
        connection.execute(
            "CREATE TABLE quarantine (source_row BIGINT, reason VARCHAR, detail VARCHAR, source_values VARCHAR)"
        )

    def add(self, chunk: CanonicalChunk, reason: npt.NDArray[np.object_], detail: npt.NDArray[np.object_]) -> None:
        """Take a chunk: rows without a reason to `staged`, the others and the unreadable ones to `quarantine`.

        In quarantine the values are text, as the source has them.
        """
        self.names = chunk.source.column_names
        texts = row_texts(chunk.source)
        usable = np.array([one is None for one in reason], dtype=bool)
        self._stage(chunk, texts, pa.array(usable))
        refused = np.flatnonzero(~usable)
        values = [row_values(text, self.names) for text in texts.take(refused).to_pylist()]
        rows = list(zip(chunk.source_row[refused].tolist(), reason[refused], detail[refused], values, strict=True))
        rows += [(row.source_row, row.reason, row.detail, dict(row.source_values)) for row in chunk.unreadable]
        self._refuse(rows)

    def refuse_repetitions(self) -> None:
        """Move every exact repetition of an earlier source row to `quarantine`, as `duplicate`."""
        self.connection.execute(
            """CREATE TEMP TABLE repetition AS
            SELECT s.source_row, s.source_text, r.first_row
            FROM staged s JOIN (
                SELECT event_id, min(source_row) AS first_row FROM staged GROUP BY event_id HAVING count(*) > 1
            ) r USING (event_id) WHERE s.source_row > r.first_row"""
        )
        found = self.connection.execute("SELECT * FROM repetition ORDER BY source_row")
        while rows := found.fetchmany(50_000):
            cursor = self.connection.cursor()
            self._refuse(
                [
                    (number, "duplicate", f"repeats row {first}", row_values(text, self.names))
                    for number, text, first in rows
                ],
                cursor,
            )
        self.connection.execute("DELETE FROM staged WHERE source_row IN (SELECT source_row FROM repetition)")

    def quarantined(self) -> dict[str, int]:
        """Return the number of rows in quarantine by reason, most frequent first."""
        query = "SELECT reason, count(*) AS n FROM quarantine GROUP BY reason ORDER BY n DESC, reason"
        return dict(self.connection.execute(query).fetchall())

    def _stage(self, chunk: CanonicalChunk, texts: pa.Array, usable: pa.Array) -> None:
        columns = {name: chunk.rows[name] for name in (*TEXT_COLUMNS, *NUMBER_COLUMNS)}
        moment = chunk.rows["event_timestamp"].cast(pa.int64())
        table = pa.table({"source_row": chunk.source_row, "source_text": texts, "moment": moment, **columns})
        table = table.filter(usable)
        self.connection.register("chunk", table)
        self.connection.execute("INSERT INTO staged BY NAME SELECT *, md5(source_text) AS event_id FROM chunk")
        self.connection.unregister("chunk")

    def _refuse(self, rows: list[tuple[Any, ...]], cursor: Any = None) -> None:
        if not rows:
            return
        numbers, reasons, details, values = zip(*rows, strict=True)
        texts = [json.dumps(value, ensure_ascii=False) for value in values]
        table = pa.table([numbers, reasons, details, texts], schema=QUARANTINE_SCHEMA)
        cursor = cursor or self.connection
        cursor.register("refused", table)
        cursor.execute("INSERT INTO quarantine SELECT * FROM refused")
        cursor.unregister("refused")


@contextmanager
def staging(out: Path) -> Iterator[Staging]:
    """Yield an empty staging place under `out`, and remove it at the end, whatever happened.

    What a killed ingest left is removed first. A folder `out` that was made for it and stays empty is removed too.

    Raises:
        InputError: another ingest is at work under `out`.
    """
    made = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with _alone(out):
            _sweep(out)
            yield from _staged(out)
    finally:
        if made and not any(out.iterdir()):
            out.rmdir()


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the lock of `out`; the system takes it back from a process that dies."""
    handle = os.open(out, os.O_RDONLY)
    try:
        _lock(handle, out)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, out: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"Another ingest is writing {out}; expected to be alone. Wait for it, or choose another folder with --out."
        ) from None


def _sweep(out: Path) -> None:
    """Remove half-written folders and files of an ingest that was killed; nobody else writes such names here."""
    for left in [path for name in WRITTEN for path in out.glob(f".{name}.{'?' * 8}")]:
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _staged(out: Path) -> Iterator[Staging]:
    folder = Path(tempfile.mkdtemp(prefix=".ingest.", dir=out))
    connection = duckdb.connect(
        folder / "staging.duckdb",
        config={"memory_limit": MEMORY, "temp_directory": str(folder), "max_temp_directory_size": SPILL},
    )
    try:
        yield Staging(connection)
    finally:
        connection.close()
        shutil.rmtree(folder, ignore_errors=True)
