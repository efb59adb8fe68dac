"""REES46 multi-category shop: views, carts and purchases, one CSV file a month from October 2019.

The category is the shop's path (`appliances.kitchen.washer`) where it has one, else the category's number. A purchase
is one piece at its price; the source names no currency.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from training.adapters.canonical_rows import canonical_chunk, only_where, require_columns, with_column, written_once
from training.adapters.coded_text import by_text, coded_by, first_given
from training.adapters.contract import Adapter, CanonicalChunk, Counts, DataSettings, Description, Source
from training.adapters.readings import TypeReader, read_text
from training.adapters.source_rows import named_file, source_columns, source_rows
from training.adapters.source_times import read_time

__all__ = ["ADAPTER"]

COLUMNS = {
    "event_timestamp": "event_time",
    "event_type": "event_type",
    "item_id": "product_id",
    "category": "category_code",
    "brand": "brand",
    "list_price": "price",
    "user_id": "user_id",
    "session_id": "user_session",
}
NUMBER = "category_id"
READ_TYPE = TypeReader({"cart": "add_to_cart"})


def locate(settings: DataSettings, path: Path | None) -> Source:
    """Return the file that was named, such as `2019-Oct.csv`.

    Raises:
        SettingsError: no file is named.
        SourceDataError: the file is missing or of another kind.
    """
    return named_file("rees46", path)


def read(source: Source, settings: DataSettings) -> Iterator[CanonicalChunk]:
    """Yield the rows as events.

    Raises:
        SourceDataError: the file is missing, empty or damaged, or lacks a column.
    """
    (file,) = source.files
    require_columns(source.name, source_columns(file), COLUMNS | {"category, where there is no path": NUMBER})
    for rows in source_rows(file):
        chunk = canonical_chunk(rows, COLUMNS, {}, partial(read_time, zone="UTC"), READ_TYPE)
        table = chunk.rows
        number = coded_by(read_text, rows.table[NUMBER])
        bought = pc.fill_null(by_text(_is_purchase, table["event_type"]), False)
        revenue = only_where(bought, table["list_price"])
        for name, values in (
            ("category", first_given(table["category"], number)),
            ("quantity", only_where(bought, pa.repeat(1.0, table.num_rows))),
            ("revenue", revenue),
        ):
            table = with_column(table, name, values)
        yield replace(chunk, source=written_once(chunk.source, NUMBER, number), rows=table)


def _is_purchase(kinds: pa.Array) -> pa.Array:
    return pc.equal(kinds, "purchase")


ADAPTER = Adapter(
    Description(
        name="rees46",
        title="REES46 eCommerce behaviour, multi-category shop",
        licence="free to use with a mention of REES46",
        page="https://www.kaggle.com/datasets/mkechinov/ecommerce-behavior-data-from-multi-category-store",
        delay_hours=0.0,
        counts=Counts(lines=42_448_764, customers=3_022_290, items=166_794),
    ),
    locate,
    read,
)
