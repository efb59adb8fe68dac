"""YooChoose (RecSys Challenge 2015): clicks and purchases in sessions of a European shop, April to September 2014.

Two files without a header, `yoochoose-clicks.dat` and `yoochoose-buys.dat`. The source knows no customers: a session
is one. A click on an item is a view. Its category is a number from 1 to 12, a brand (a longer number), S for a special
offer, or 0 for unknown; the last two say nothing about the item and are left out. About half of the purchases have the
price and the quantity 0, which stands for unknown.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.errors import SourceDataError
from training.adapters.canonical_rows import canonical_chunk, only_where, with_column
from training.adapters.coded_text import coded_by
from training.adapters.contract import Adapter, CanonicalChunk, Counts, DataSettings, Description, Source
from training.adapters.source_rows import headerless_rows, named_file, within_folder
from training.adapters.source_times import read_time

__all__ = ["ADAPTER"]

CLICKS = ("Session ID", "Timestamp", "Item ID", "Category")
BUYS = ("Session ID", "Timestamp", "Item ID", "Price", "Quantity")
SHARED = {"user_id": "Session ID", "event_timestamp": "Timestamp", "item_id": "Item ID"}
AS_CATEGORY = r"^([1-9]|1[0-2])$"
AS_BRAND = r"^[0-9]{3,}$"
read_moment = partial(read_time, zone="UTC")


def locate(settings: DataSettings, path: Path | None) -> Source:
    """Return the two files: of the folder that was named, or the clicks that were named and the buys beside them.

    Raises:
        SettingsError: nothing is named.
        SourceDataError: a file is missing.
    """
    if path is not None and path.is_dir():
        path = within_folder(path, "yoochoose-clicks.dat", "yoochoose-clicks.parquet") or path / "yoochoose-clicks.dat"
    clicks = named_file("yoochoose", path).files[0]
    buys = within_folder(clicks, f"yoochoose-buys{clicks.suffix}", "yoochoose-buys.dat")
    if buys is None:
        raise SourceDataError(
            f"There is no yoochoose-buys.dat beside {clicks.name}; expected both files in one folder, for clicks "
            "without purchases would say that nobody buys. Put it there."
        )
    return Source(clicks.name, (clicks, buys))


def read(source: Source, settings: DataSettings) -> Iterator[CanonicalChunk]:
    """Yield the clicks as views, then the buys as purchases; their rows are numbered on from the clicks.

    Raises:
        SourceDataError: a file is missing, empty or damaged.
    """
    clicks, buys = source.files
    seen = 0
    for chunk in chain(_clicks(clicks), _buys(buys)):
        first = seen if chunk.source.column_names == list(BUYS) else 0
        yield _moved(chunk, first)
        if not first:
            numbers = [row.source_row for row in chunk.unreadable]
            seen = max([seen, *chunk.source_row[-1:].tolist(), *numbers])


def _clicks(file: Path) -> Iterator[CanonicalChunk]:
    columns = SHARED | {"category": "Category"}
    for rows in headerless_rows(file, CLICKS):
        chunk = canonical_chunk(rows, columns, {"event_type": "view"}, read_moment)
        told = chunk.rows["category"]
        table = with_column(chunk.rows, "category", coded_by(partial(_matching, pattern=AS_CATEGORY), told))
        table = with_column(table, "brand", coded_by(partial(_matching, pattern=AS_BRAND), told))
        yield replace(chunk, rows=_in_session(table))


def _buys(file: Path) -> Iterator[CanonicalChunk]:
    columns = SHARED | {"revenue": "Price", "quantity": "Quantity"}
    if not file.stat().st_size:  # a part of the clicks in which nobody bought
        return
    for rows in headerless_rows(file, BUYS):
        chunk = canonical_chunk(rows, columns, {"event_type": "purchase"}, read_moment)
        price, pieces = chunk.rows["revenue"], chunk.rows["quantity"]
        known = pc.fill_null(pc.and_(pc.not_equal(price, 0.0), pc.not_equal(pieces, 0.0)), False)
        told = pc.or_(pc.not_equal(pieces, 0.0), pc.is_null(pieces))
        table = with_column(chunk.rows, "quantity", only_where(told, pieces))
        table = with_column(table, "revenue", only_where(known, pc.multiply(price, pieces)))
        yield replace(chunk, rows=_in_session(table))


def _matching(texts: pa.Array, pattern: str) -> pa.Array:
    return only_where(pc.match_substring_regex(texts, pattern), texts)


def _in_session(table: pa.Table) -> pa.Table:
    return with_column(table, "session_id", table["user_id"])


def _moved(chunk: CanonicalChunk, first: int) -> CanonicalChunk:
    unreadable = tuple(replace(row, source_row=row.source_row + first) for row in chunk.unreadable)
    return replace(chunk, source_row=np.asarray(chunk.source_row) + first, unreadable=unreadable)


ADAPTER = Adapter(
    Description(
        name="yoochoose",
        title="YooChoose, RecSys Challenge 2015",
        licence="CC BY-NC-ND 4.0 (YooChoose)",
        page="https://www.kaggle.com/datasets/chadgostopp/recsys-challenge-2015",
        delay_hours=0.0,
        counts=Counts(lines=34_154_697, customers=9_249_729, items=52_739),
    ),
    locate,
    read,
)
