"""A benchmark table that is no log: it is written beside as it is, typed, with its counts.

No events are made up of it: it names no customers, no items and no times.
"""

import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.errors import SettingsError, SourceDataError
from feature_repo.events import QUARANTINE_SCHEMA
from training.adapters.canonical_rows import require_columns
from training.adapters.coded_text import plain
from training.adapters.contract import IngestReport, Source, TabularAdapter
from training.adapters.csv_rows import SourceRows
from training.adapters.readings import WHOLE, read_number, read_text
from training.adapters.row_text import row_texts, rows_as_json
from training.adapters.sole_writer import sole_writer
from training.adapters.source_rows import source_columns, source_rows
from training.atomic import replace_folder, write_json

__all__ = ["CARD", "SESSIONS", "ingest_table"]

SESSIONS = "sessions"
CARD = "card.json"
TRUE, FALSE = "true", "false"
Mask = npt.NDArray[np.bool_]


def ingest_table(adapter: TabularAdapter, source: Source, out: Path, sample: float | None) -> IngestReport:
    """Write `<out>/sessions/`: the table, the rows that cannot be used, and a card; nothing else under `out` changes.

    The table has `source_row` (int64, the first row is 1) and the columns of the file with the types that the adapter
    declares. Rows that repeat are kept: without ids two equal sessions may be two sessions; the card counts them.

    Raises:
        SettingsError: a sample of customers is asked for; the table has none.
        SourceDataError: the file lacks a column, is damaged, or none of its rows can be used.
    """
    began = time.perf_counter()
    if sample is not None:
        raise SettingsError(f"{adapter.description.name} names no customers: got sample {sample}; leave it out.")
    (file,) = source.files
    require_columns(source.name, source_columns(file), {name: name for name in adapter.columns})
    tables, refused, texts = [], [], []
    for rows in source_rows(file):
        table, quarantined = _typed(rows, adapter)
        tables.append(table)
        refused.append(quarantined)
        texts.append(row_texts(rows.table.select(list(adapter.columns))))
    table, quarantine = _joined(tables), _joined(refused)
    if table is None or not table.num_rows:
        raise SourceDataError(
            f"None of the rows of {source.name} can be used; expected a header and {', '.join(adapter.columns)} in "
            "each row. Check the file; nothing was written."
        )
    report = _report(adapter, source, table, quarantine, pa.chunked_array(texts))
    with sole_writer(out), replace_folder(out / SESSIONS) as folder:
        pq.write_table(table, folder / "part-0.parquet", compression="zstd")
        pq.write_table(quarantine, folder / "quarantine.parquet", compression="zstd")
        write_json(folder / CARD, _card(adapter, table, report))
    return replace(report, seconds=round(time.perf_counter() - began, 3))


def _typed(rows: SourceRows, adapter: TabularAdapter) -> tuple[pa.Table, pa.Table]:
    wrong = pa.nulls(rows.table.num_rows, pa.string())
    values: list[pa.Array] = []
    found = [(problem.detail, problem.rows) for problem in rows.problems]  # bytes that are not UTF-8
    for name, kind in adapter.columns.items():
        cells, bad = _read(plain(rows.table[name]), kind)
        found.append((f"column {name}", bad))
        values.append(cells)
    for detail, bad in found:
        wrong = pc.if_else(pc.and_(pa.array(bad), pc.is_null(wrong)), pa.scalar(detail), wrong)
    numbers = pa.array(rows.source_row)
    table = pa.table([numbers, *values], names=["source_row", *adapter.columns])
    bad_rows = pc.is_valid(wrong)
    reasons = pa.repeat("unreadable_value", rows.table.num_rows)
    refused = pa.table([numbers, reasons, wrong, rows_as_json(rows.table)], schema=QUARANTINE_SCHEMA)
    unreadable = [
        {
            "source_row": row.source_row,
            "reason": row.reason,
            "detail": row.detail,
            "source_values": json.dumps(dict(row.source_values), ensure_ascii=False),
        }
        for row in rows.unreadable
    ]
    quarantine = pa.concat_tables([refused.filter(bad_rows), pa.Table.from_pylist(unreadable, QUARANTINE_SCHEMA)])
    return table.filter(pc.invert(bad_rows)), quarantine


def _read(cells: pa.Array, kind: pa.DataType) -> tuple[pa.Array, Mask]:
    """Values of the declared type, and bool[n]: there is none, for a benchmark row is whole or it is not that row."""
    if pa.types.is_string(kind):
        values = read_text(cells)
    elif pa.types.is_boolean(kind):
        text = pc.utf8_lower(pc.utf8_trim_whitespace(cells.cast(pa.string())))
        known = pc.is_in(text, pa.array([TRUE, FALSE]))
        values = pc.if_else(known, pc.equal(text, TRUE), pa.scalar(None, pa.bool_()))
    else:
        numbers, _ = read_number(cells)
        whole = pc.and_(pc.equal(pc.trunc(numbers), numbers), pc.less(pc.abs(numbers), WHOLE))
        fits = whole if pa.types.is_integer(kind) else pc.is_valid(numbers)
        values = pc.if_else(fits, numbers, pa.scalar(None, pa.float64())).cast(kind)
    return values, pc.is_null(values).to_numpy(zero_copy_only=False)


def _joined(tables: list[pa.Table]) -> pa.Table | None:
    return pa.concat_tables(tables).combine_chunks() if tables else None


def _report(
    adapter: TabularAdapter, source: Source, table: pa.Table, quarantine: pa.Table, texts: pa.ChunkedArray
) -> IngestReport:
    rows, counts = table.num_rows + quarantine.num_rows, adapter.description.counts
    repeated = len(texts) - pc.count_distinct(texts).as_py()
    odd = []
    if counts and rows != counts.lines:
        odd.append(f"The published data set has {counts.lines:,} lines; this one has {rows:,}.")
    if repeated:
        odd.append(
            f"{repeated:,} rows repeat an earlier one; they are kept, for nothing tells one session from another."
        )
    odd.append("This is a benchmark table, not a log: no events were written, and only tabular tasks can use it.")
    return IngestReport(
        adapter=adapter.description.name, source=source.name, rows_in=rows, events=0, users=0, items=0, customers=0,
        distinct_items=0, first=None, last=None, delay_hours=0.0, seconds=0.0,
        quarantined=dict(Counter(quarantine["reason"].to_pylist())), odd=tuple(odd),
        table_rows=table.num_rows,
    )  # fmt: skip


def _card(adapter: TabularAdapter, table: pa.Table, report: IngestReport) -> dict[str, Any]:
    about = adapter.description
    shares = {str(entry["values"]): entry["counts"] for entry in pc.value_counts(table[adapter.label]).to_pylist()}
    return {
        "adapter": about.name,
        "title": about.title,
        "licence": about.licence,
        "page": about.page,
        "source": report.source,
        "rows_in": report.rows_in,
        "rows": table.num_rows,
        "quarantined": report.quarantined,
        "label": adapter.label,
        "label_counts": dict(sorted(shares.items())),
        "odd": list(report.odd),
    }
