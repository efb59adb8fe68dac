"""The canonical log on disk: events, users, items and quarantine, each a Parquet file that is replaced as a whole.

The files depend on the source and the adapter alone: the same source gives the same bytes.
"""

from binascii import hexlify
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.events import EVENT_SCHEMA, ITEM_SCHEMA, QUARANTINE_SCHEMA, TIMESTAMP, USER_SCHEMA
from training.adapters.coded_text import TEXT
from training.adapters.item_prices import derived_prices, with_prices
from training.adapters.row_order import in_order, spelt_out
from training.adapters.snapshots import item_query, user_query
from training.adapters.staging import EVERY, Staging
from training.atomic import replace_folder
from training.dataset.log_manifest import keep_stream_parts

__all__ = ["PART", "TABLES", "write_log"]

PART = "part-0.parquet"
TABLES = {"events": EVENT_SCHEMA, "users": USER_SCHEMA, "items": ITEM_SCHEMA, "quarantine": QUARANTINE_SCHEMA}
HEX_DIGITS = 32
ROW_COLUMNS = ("moment", "source_row", "id_low", "id_high")
QUARANTINE_PLACE = f"array_position(['events', 'items', 'users'], about) * {2**52} + source_row"
BATCH = 32_768  # fixed: of text that hardly repeats the bytes depend on the pieces in which it is written
DEALT_BATCH = 65_536  # rows that have yet to be ordered; each batch is written in as many pieces as there are parts
REFUSED_ROWS = 50_000  # sorted at once: a row in quarantine holds all of its source's cells
ROW_GROUP = 131_072  # fixed, or the batches that DuckDB hands out would show in the bytes
REFUSED_ROW_GROUP = 32_768
DIFFERENT = ("event_id", "event_timestamp", "created_timestamp", "source_row", "source_values")
"""Nearly every value is another one: a dictionary only costs time."""


def write_log(staged: Staging, out: Path, delay_us: int) -> dict[str, int]:
    """Write the four tables under `out` and return their numbers of rows.

    `created_timestamp` is the event's time plus `delay_us` microseconds. Events are ordered by time, then by their
    place in the source. All four are written beside their targets first, and at the end take their places one after
    another: only the log's manifest, written after them, says that they belong together.
    """
    counts = {}
    with ExitStack() as stack:
        for name, schema in TABLES.items():
            folder = stack.enter_context(replace_folder(out / name))
            constants = staged.constants if name == "events" else {}
            counts[name] = _write(folder / PART, QUERIES[name](staged), schema, delay_us, constants)
            if name == "events":  # an ingest replaces what was imported, not what was streamed
                keep_stream_parts(out, folder)
    return counts


def _events(staged: Staging) -> Iterator[pa.Table]:
    # Of the others nothing is to be read, or always the same.
    given = [name for name in EVENT_SCHEMA.names if staged.given.get(name) and name not in staged.constants]
    names = (*ROW_COLUMNS, *given)
    tables = _groups(_as_staged(staged, names), ROW_GROUP) if staged.ordered else _sorted(staged, names)
    derived = derived_prices(staged.said)
    kind = staged.constants.get("event_type")
    return with_prices(staged.connection, staged.folder, tables, derived, kind) if derived else tables


def _as_staged(staged: Staging, names: Sequence[str]) -> Iterator[pa.Table]:
    for piece in staged.events.pieces(names, BATCH):
        yield pa.Table.from_batches([spelt_out(batch) for batch in piece.to_batches()]).combine_chunks()


def _sorted(staged: Staging, names: Sequence[str]) -> Iterator[pa.Table]:
    def beforehand() -> Iterator[npt.NDArray[np.int64]]:
        return (piece["moment"].to_numpy() for piece in staged.events.pieces(("moment",), DEALT_BATCH))

    pieces = map(staged.shared.numbered, staged.events.pieces(names, DEALT_BATCH))
    sample, rows = staged.some_moments(), staged.given["user_id"]
    ordered = in_order(pieces, ("moment", "source_row"), sample, rows, staged.folder, beforehand=beforehand)
    return map(staged.shared.spelt, _groups(ordered, ROW_GROUP))


def _users(staged: Staging) -> Iterator[pa.Table]:
    return _tables(_answer(staged, user_query(staged.connection, staged.said)))


def _items(staged: Staging) -> Iterator[pa.Table]:
    return _tables(_answer(staged, item_query(staged.connection, staged.said)))


def _quarantine(staged: Staging) -> Iterator[pa.Table]:
    ask = staged.connection.execute
    found = ask(f"SELECT {QUARANTINE_PLACE} FROM quarantine WHERE file_row_number % {EVERY} = 0").fetchall()
    rows = ask("SELECT count(*) FROM quarantine").fetchone()[0]
    batches = _answer(staged, f"SELECT * EXCLUDE (file_row_number), {QUARANTINE_PLACE} AS place FROM quarantine")
    return in_order(
        _tables(batches), ("place",), np.array(found, np.int64).reshape(-1), rows, staged.folder, REFUSED_ROWS
    )


QUERIES: dict[str, Callable[[Staging], Iterator[pa.Table]]] = {
    "events": _events,
    "users": _users,
    "items": _items,
    "quarantine": _quarantine,
}


def _answer(staged: Staging, query: str, rows: int = BATCH) -> pa.RecordBatchReader:
    return staged.connection.cursor().sql(query).to_arrow_reader(rows)


def _tables(batches: pa.RecordBatchReader) -> Iterator[pa.Table]:
    for batch in batches:
        yield pa.Table.from_batches([batch])


def _write(
    path: Path, tables: Iterator[pa.Table], schema: pa.Schema, delay_us: int, constants: Mapping[str, str]
) -> int:
    count = 0
    repeating = [name for name in schema.names if name not in DIFFERENT]
    size = REFUSED_ROW_GROUP if schema is QUARANTINE_SCHEMA else ROW_GROUP
    ordered = [field.name for field in schema if not pa.types.is_string(field.type)]  # of texts no range says much
    groups = _groups(tables, size)
    first = next(groups, schema.empty_table())
    schema = _as_written(schema, first)
    with pq.ParquetWriter(
        path, schema, compression="zstd", use_dictionary=repeating, write_statistics=ordered, store_schema=False
    ) as writer:
        for table in chain([first] if first.num_rows else [], groups):
            writer.write_table(_canonical(table, schema, delay_us, constants), row_group_size=size)
            count += table.num_rows
    return count


def _as_written(schema: pa.Schema, table: pa.Table) -> pa.Schema:
    """Text that has dictionaries is written with them, if it repeats; when it is read that does not show."""
    for place, field in enumerate(schema):
        cells = table[field.name].combine_chunks() if field.name in table.column_names else None
        if cells is not None and cells.type == TEXT and 2 * len(cells.dictionary) <= len(cells):
            schema = schema.set(place, field.with_type(TEXT))
    return schema


def _groups(tables: Iterator[pa.Table], size: int) -> Iterator[pa.Table]:
    """Yield tables of exactly `size` rows, and what is left at the end."""
    waiting: list[pa.Table] = []
    rows = 0
    for one in tables:
        waiting.append(one)
        rows += one.num_rows
        while rows >= size:
            table = pa.concat_tables(waiting)
            yield table.slice(0, size)
            waiting, rows = [table.slice(size)], rows - size
    if rows:
        yield pa.concat_tables(waiting)


def _canonical(table: pa.Table, schema: pa.Schema, delay_us: int, constants: Mapping[str, str]) -> pa.Table:
    columns = {name: table[name] for name in table.column_names}
    columns |= {name: pa.repeat(text, table.num_rows) for name, text in constants.items()}
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
    return pa.StringArray.from_buffers(len(halves), pa.py_buffer(offsets), pa.py_buffer(hexlify(halves.data)))
