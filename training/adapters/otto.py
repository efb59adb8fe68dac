"""OTTO (recommender challenge of 2022): clicks, carts and orders in sessions of a German shop, four weeks.

One JSON object a line: `{"session": 1, "events": [{"aid": 5, "ts": 1659304800025, "type": "clicks"}, ...]}`; `ts` is
Unix time in milliseconds. The source knows no customers: a session is one. A click is a view, an order a purchase. A
row of the source is an event, numbered through the file; a line that is not such an object is one row in quarantine.
"""

import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from feature_repo.errors import SourceDataError
from training.adapters.canonical_rows import canonical_chunk, with_column
from training.adapters.contract import (
    Adapter,
    CanonicalChunk,
    Counts,
    DataSettings,
    Description,
    Source,
    UnreadableRow,
)
from training.adapters.csv_rows import SourceRows
from training.adapters.readings import TypeReader
from training.adapters.source_rows import headerless_rows, is_parquet, named_file
from training.adapters.source_times import read_time

__all__ = ["ADAPTER"]

EVENT = pa.struct([("aid", pa.int64()), ("ts", pa.int64()), ("type", pa.string())])
LINE = pa.schema([("session", pa.int64()), ("events", pa.list_(EVENT))])
NAMES = ("session", "aid", "ts", "type")
COLUMNS = {"user_id": "session", "item_id": "aid", "event_timestamp": "ts", "event_type": "type"}
READ_TYPE = TypeReader({"clicks": "view", "carts": "add_to_cart", "orders": "purchase"})
SUFFIXES = (".jsonl", ".gz", ".parquet", ".pq")
BLOCK_BYTES = 4 << 20
SHOWN = 1 << 20  # characters of a line that is set apart: a whole session, but not a file without line breaks


def locate(settings: DataSettings, path: Path | None) -> Source:
    """Return the file that was named: `train.jsonl`, or Parquet with the columns session, aid, ts and type.

    Raises:
        SettingsError: no file is named.
        SourceDataError: the file is missing or of another kind.
    """
    return named_file("otto", path, SUFFIXES)


def read(source: Source, settings: DataSettings) -> Iterator[CanonicalChunk]:
    """Yield the events of the sessions, in the order of the file.

    Raises:
        SourceDataError: the file is missing, empty or damaged.
    """
    (file,) = source.files
    for rows in headerless_rows(file, NAMES) if is_parquet(file) else _sessions(file):
        chunk = canonical_chunk(rows, COLUMNS, {}, partial(read_time, zone="UTC"), READ_TYPE)
        yield replace(chunk, rows=with_column(chunk.rows, "session_id", chunk.rows["user_id"]))


def _sessions(file: Path) -> Iterator[SourceRows]:
    seen = 0
    with _opened(file) as handle:
        while lines := handle.readlines(BLOCK_BYTES):
            for rows in _parsed(lines, seen):
                seen += rows.table.num_rows + len(rows.unreadable)
                yield rows
    if not seen:
        raise SourceDataError(f"{file.name} is empty; expected a JSON object a line. Check that the export ended.")


def _parsed(lines: list[bytes], seen: int) -> Iterator[SourceRows]:
    """Read lines at once; where one of them is broken, halves are tried until it is by itself."""
    try:
        table = _read(b"".join(lines))
    except (pa.ArrowInvalid, UnicodeDecodeError):
        if len(lines) == 1:
            yield _unreadable(lines[0], seen)
            return
        half = len(lines) // 2
        for part in (lines[:half], lines[half:]):
            for rows in _parsed(part, seen):
                seen += rows.table.num_rows + len(rows.unreadable)
                yield rows
        return
    yield SourceRows(_flat(table), seen + 1 + np.arange(_length(table), dtype=np.int64))


def _read(text: bytes) -> pa.Table:
    if not text.strip():
        return LINE.empty_table()
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(text) + 1)
    parsing = pyarrow.json.ParseOptions(explicit_schema=LINE, unexpected_field_behavior="ignore")
    table = pyarrow.json.read_json(io.BytesIO(text), reading, parsing)
    if table.schema != LINE or table["session"].null_count or table["events"].null_count:
        raise pa.ArrowInvalid("a line without a session or without events")
    return table


def _length(table: pa.Table) -> int:
    return int(pc.sum(pc.list_value_length(table["events"])).as_py() or 0)


def _flat(table: pa.Table) -> pa.Table:
    events = table["events"].combine_chunks()
    session = table["session"].combine_chunks().take(pc.list_parent_indices(events))
    flat = events.flatten()
    return pa.table([session, *(flat.field(name) for name in NAMES[1:])], names=list(NAMES))


def _unreadable(line: bytes, seen: int) -> SourceRows:
    text = line.decode(errors="replace").rstrip("\n")
    values: dict[str, Any] = {"line": text[:SHOWN]}
    row = UnreadableRow(seen + 1, "unreadable_row", _trouble(text), values)
    return SourceRows(_flat(LINE.empty_table()), np.empty(0, dtype=np.int64), (), (row,))


def _trouble(text: str) -> str:
    try:
        json.loads(text)
    except ValueError:
        return "the line is not JSON"
    return "the line is not a session with events"


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    if file.suffix.lower() != ".gz":
        with file.open("rb") as handle:
            yield handle
        return
    try:
        with gzip.open(file) as packed:
            yield cast("IO[bytes]", packed)
    except (EOFError, OSError) as problem:
        raise SourceDataError(
            f"{file.name} is not a whole gz file ({problem}); it is cut off or damaged. Copy it again."
        ) from problem


ADAPTER = Adapter(
    Description(
        name="otto",
        title="OTTO sessions, Germany",
        licence="MIT (otto GmbH & Co KG)",
        page="https://github.com/otto-de/recsys-dataset",
        delay_hours=0.0,
        counts=Counts(lines=216_716_096, customers=12_899_779, items=1_855_603),
    ),
    locate,
    read,
)
