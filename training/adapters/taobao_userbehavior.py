"""Taobao UserBehavior: clicks, carts, favourites and purchases, 2017-11-25 to 2017-12-03, days of Asia/Shanghai.

The file has no header. Its seconds are Unix time, so they are UTC as they stand; only the days of the published period
are those of Shanghai. What lies outside of it (clocks of customers' devices) is in quarantine as `outside_period`.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.adapters.canonical_rows import canonical_chunk
from training.adapters.contract import Adapter, CanonicalChunk, Counts, DataSettings, Description, Problem, Source
from training.adapters.readings import TypeReader
from training.adapters.source_rows import headerless_rows, named_file
from training.adapters.source_times import read_time

__all__ = ["ADAPTER", "FIRST", "LAST"]

NAMES = ("user_id", "item_id", "category_id", "behavior_type", "timestamp")
COLUMNS = {
    "user_id": "user_id",
    "item_id": "item_id",
    "category": "category_id",
    "event_type": "behavior_type",
    "event_timestamp": "timestamp",
}
READ_TYPE = TypeReader({"pv": "view", "buy": "purchase", "cart": "add_to_cart", "fav": "favourite"})
FIRST = datetime(2017, 11, 24, 16, tzinfo=UTC)
LAST = datetime(2017, 12, 3, 16, tzinfo=UTC)
"""Nine days in Shanghai: [FIRST, LAST)."""


def locate(settings: DataSettings, path: Path | None) -> Source:
    """Return the file that was named, `UserBehavior.csv`.

    Raises:
        SettingsError: no file is named.
        SourceDataError: the file is missing or of another kind.
    """
    return named_file("taobao_userbehavior", path)


def read(source: Source, settings: DataSettings) -> Iterator[CanonicalChunk]:
    """Yield the rows as views, carts, favourites and purchases.

    Raises:
        SourceDataError: the file is missing, empty or damaged.
    """
    for rows in headerless_rows(source.files[0], NAMES):
        chunk = canonical_chunk(rows, COLUMNS, {}, partial(read_time, zone="UTC"), READ_TYPE)
        yield replace(chunk, problems=(*chunk.problems, _outside(chunk.rows)))


def _outside(rows: pa.Table) -> Problem:
    moments = rows["event_timestamp"]
    within = pc.and_(pc.greater_equal(moments, pa.scalar(FIRST)), pc.less(moments, pa.scalar(LAST)))
    inside = pc.fill_null(within, True).combine_chunks().to_numpy(zero_copy_only=False)
    return Problem("outside_period", "column timestamp", np.logical_not(inside))


ADAPTER = Adapter(
    Description(
        name="taobao_userbehavior",
        title="Taobao UserBehavior, China",
        licence="CC BY-NC-SA 4.0 (Alibaba, Tianchi)",
        page="https://tianchi.aliyun.com/dataset/649",
        delay_hours=0.0,
        counts=Counts(lines=100_150_807, customers=987_994, items=4_162_024),
    ),
    locate,
    read,
)
