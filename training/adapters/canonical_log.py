"""The canonical log on disk: events, users, items and quarantine, each a Parquet file that is replaced as a whole.

The files depend on the source and the adapter alone: the same source gives the same bytes.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.events import EVENT_SCHEMA, ITEM_SCHEMA, QUARANTINE_SCHEMA, TIMESTAMP, USER_SCHEMA
from training.adapters.snapshots import item_query, user_query
from training.adapters.staging import Staging
from training.atomic import replace_folder

__all__ = ["PART", "TABLES", "write_log"]

PART = "part-0.parquet"
TABLES = {"events": EVENT_SCHEMA, "users": USER_SCHEMA, "items": ITEM_SCHEMA, "quarantine": QUARANTINE_SCHEMA}
ROW_GROUP = 131_072  # fixed, or the batches that DuckDB hands out would show in the bytes


def write_log(staged: Staging, out: Path, delay_us: int) -> dict[str, int]:
    """Write the four tables under `out` and return their numbers of rows.

    `created_timestamp` is the event's time plus `delay_us` microseconds. Events are ordered by time, then by their
    place in the source. All four are written beside their targets first, and at the end take their places one after
    another: only the log's manifest, written after them, says that they belong together.
    """
    queries = {
        "events": "SELECT * FROM staged ORDER BY moment, source_row",
        "users": user_query(),
        "items": item_query(staged.connection),
        "quarantine": "SELECT * FROM quarantine ORDER BY source_row",
    }
    counts = {}
    with ExitStack() as stack:
        for name, schema in TABLES.items():
            folder = stack.enter_context(replace_folder(out / name))
            reader = staged.connection.cursor().sql(queries[name]).to_arrow_reader(ROW_GROUP)
            counts[name] = _write(folder / PART, reader, schema, delay_us)
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
    waiting: pa.Table = batches.schema.empty_table()
    for batch in batches:
        waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch])])
        while waiting.num_rows >= ROW_GROUP:
            yield waiting.slice(0, ROW_GROUP)
            waiting = waiting.slice(ROW_GROUP)
    if waiting.num_rows:
        yield waiting


def _canonical(table: pa.Table, schema: pa.Schema, delay_us: int) -> pa.Table:
    columns = {name: table[name] for name in table.column_names}
    if "moment" in columns:
        columns["event_timestamp"] = table["moment"].cast(TIMESTAMP)
        columns["created_timestamp"] = pc.add(table["moment"], delay_us).cast(TIMESTAMP)
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
