"""UCI Online Retail: invoice lines of a British gift wholesaler and retailer, 2010-12-01 to 2011-12-09.

An `InvoiceNo` that begins with C is a cancellation, here a return; its quantity keeps the sign of the source. Times are
taken as UTC, though the shop's clock was in London: the published protocols do the same. A quarter of the lines name
no customer; they are in quarantine. An invoice is a session. The shop's stock codes are the items, as written.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.errors import SourceDataError
from training.adapters.canonical_rows import canonical_chunk, require_columns, with_column
from training.adapters.coded_text import by_text, coded_by
from training.adapters.contract import Adapter, CanonicalChunk, Counts, DataSettings, Description, Source
from training.adapters.readings import Reading
from training.adapters.source_rows import named_file, source_columns, source_rows
from training.adapters.source_times import read_time

__all__ = ["ADAPTER"]

COLUMNS = {
    "event_timestamp": "InvoiceDate",
    "user_id": "CustomerID",
    "item_id": "StockCode",
    "session_id": "InvoiceNo",
    "quantity": "Quantity",
    "title": "Description",
    "country": "Country",
}
PRICE = "UnitPrice"
IN_CSV = "%m/%d/%Y %H:%M"  # how the workbook's times come out of a spreadsheet: 12/1/2010 8:26


def locate(settings: DataSettings, path: Path | None) -> Source:
    """Return the file that was named: CSV or Parquet with the eight published columns.

    Raises:
        SettingsError: no file is named.
        SourceDataError: the file is missing or of another kind, such as the workbook itself.
    """
    if path is not None and path.suffix.lower() in (".xlsx", ".xls"):
        raise SourceDataError(
            f"{path.name} is a workbook; expected CSV or Parquet with the same columns. Save its sheet as CSV UTF-8."
        )
    return named_file("online_retail", path)


def read(source: Source, settings: DataSettings) -> Iterator[CanonicalChunk]:
    """Yield the invoice lines as purchases and returns; revenue is quantity times unit price, in pounds.

    Raises:
        SourceDataError: the file is missing, empty or damaged, or lacks a column.
    """
    (file,) = source.files
    wanted = COLUMNS | {"revenue": PRICE}
    require_columns(source.name, source_columns(file), wanted)
    for rows in source_rows(file):
        chunk = canonical_chunk(rows, wanted, {"currency": "GBP"}, _read_time)
        table = chunk.rows
        revenue = pc.multiply(table["quantity"], table["revenue"])
        cancelled = pc.fill_null(by_text(_is_cancelled, table["session_id"]), False)
        for name, values in (
            ("user_id", coded_by(_without_fraction, table["user_id"])),
            ("revenue", revenue),
            ("event_type", pc.if_else(cancelled, "return", "purchase")),
        ):
            table = with_column(table, name, values)
        yield CanonicalChunk(chunk.source, table, chunk.source_row, chunk.problems, chunk.unreadable)


def _without_fraction(users: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(users, r"^(\d+)\.0$", r"\1")  # ids beside missing ones


def _is_cancelled(invoices: pa.Array) -> pa.Array:
    return pc.starts_with(invoices, "C")


def _read_time(column: pa.Array) -> Reading:
    slashes = pa.types.is_string(column.type) and pc.any(pc.match_substring(column, "/")).as_py()
    return partial(read_time, zone="UTC", pattern=IN_CSV if slashes else None)(column)


ADAPTER = Adapter(
    Description(
        name="online_retail",
        title="UCI Online Retail, United Kingdom",
        licence="CC BY 4.0 (Chen 2015)",
        page="https://archive.ics.uci.edu/dataset/352/online+retail",
        delay_hours=0.0,
        counts=Counts(lines=541_909, customers=4_372, items=4_070, usable_items=3_684),
    ),
    locate,
    read,
)
