"""The canonical log on disk: events, users, items and quarantine, each a Parquet file that is replaced as a whole.

The files depend on the source and the adapter alone: the same source gives the same bytes.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.events import EVENT_SCHEMA, ITEM_SCHEMA, QUARANTINE_SCHEMA, TIMESTAMP, USER_SCHEMA
from training.adapters.snapshots import item_query, user_query
from training.adapters.staging import Staging
from training.atomic import replace_folder
from training.dataset.log_manifest import keep_stream_parts

__all__ = ["PART", "TABLES", "write_log"]

PART = "part-0.parquet"
TABLES = {"events": EVENT_SCHEMA, "users": USER_SCHEMA, "items": ITEM_SCHEMA, "quarantine": QUARANTINE_SCHEMA}
HEX_DIGITS = 32
EVENT_COLUMNS = (
    "moment, id_low, id_high, user_id, item_id, session_id, event_type, quantity, revenue, cost, currency, category"
)
BATCH = 32_768
ROW_GROUP = 131_072  # fixed, or the batches that DuckDB hands out would show in the bytes


def write_log(staged: Staging, out: Path, delay_us: int) -> dict[str, int]:
    """Write the four tables under `out` and return their numbers of rows.

    `created_timestamp` is the event's time plus `delay_us` microseconds. Events are ordered by time, then by their
    place in the source. All four are written beside their targets first, and at the end take their places one after
    another: only the log's manifest, written after them, says that they belong together.
    """
    order = "" if staged.ordered else " ORDER BY moment, source_row"
    queries = {
        "events": f"SELECT {EVENT_COLUMNS} FROM staged{order}",
        "users": user_query(staged.connection, staged.said),
        "items": item_query(staged.connection, staged.said),
        "quarantine": "SELECT * EXCLUDE (about) FROM quarantine ORDER BY about, source_row",
    }
    counts = {}
    with ExitStack() as stack:
        for name, schema in TABLES.items():
            folder = stack.enter_context(replace_folder(out / name))
            reader = staged.connection.cursor().sql(queries[name]).to_arrow_reader(BATCH)
            counts[name] = _write(folder / PART, reader, schema, delay_us)
            if name == "events":  # an ingest replaces what was imported, not what was streamed
                keep_stream_parts(out, folder)
    return counts


def _write(path: Path, batches: Any, schema: pa.Schema, delay_us: int) -> int:
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in _groups(batches):
            writer.write_table(_canonical(table, schema, delay_us), row_group_size=ROW_GROUP)
            count += table.num_rows
    return count


def _groups(batches: Any) -> Iterator[pa.Table]:
    """Yield tables of exactly ROW_GROUP rows, and what is left at the end."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        while rows >= ROW_GROUP:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, ROW_GROUP)
            waiting, rows = table.slice(ROW_GROUP).to_batches(), rows - ROW_GROUP
    if rows:
        yield pa.Table.from_batches(waiting)


def _canonical(table: pa.Table, schema: pa.Schema, delay_us: int) -> pa.Table:
    columns = {name: table[name] for name in table.column_names}
    if "id_low" in columns:
        columns["event_id"] = _hexadecimal(columns["id_low"], columns["id_high"])
    if "moment" in columns:
        columns["event_timestamp"] = table["moment"].cast(TIMESTAMP)
        columns["created_timestamp"] = pc.add(table["moment"], delay_us).cast(TIMESTAMP)
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _hexadecimal(low: pa.ChunkedArray, high: pa.ChunkedArray) -> pa.Array:
    """The MD5 as text: DuckDB's number has its bytes from the last to the first."""
    halves = np.stack([low.to_numpy(), high.to_numpy()], axis=1).astype("<u8")
    offsets = np.arange(len(halves) + 1, dtype=np.int32) * HEX_DIGITS
    text = pa.py_buffer(halves.tobytes().hex().encode())
    return pa.StringArray.from_buffers(len(halves), pa.py_buffer(offsets), text)
