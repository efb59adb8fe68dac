"""The tiny shop as packed rows: in a SQLite file, in Redis, or in a dictionary."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intent_stores.packed_codec import RowTimes, encode_rows
from intent_stores.packed_keys import entity_keys
from intent_stores.packed_reader import Fetched, PackedReader, Wanted
from intent_stores.packed_sqlite import PackedSqliteFile
from intent_stores.packed_view import PackedView
from intent_stores.ragged_column import Ragged
from services.feature_lookup import read_views, views_of
from services.packed_lookup import PackedLookup
from tests.tiny_shop import FEATURES, shop

PROJECT = "tiny"
VIEWS = views_of(read_views(FEATURES), "user_id")
Rows = Mapping[str, tuple[int, Mapping[str, Any]]]
"""A customer's or an item's id → (event time in microseconds, field → value)."""


class DictionaryStore:
    """A `PackedStore` in memory; `trouble` says why it gives no answer."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, bytes], bytes] = {}
        self.trouble: str | None = None

    def fetch(self, wanted: Wanted) -> Fetched:
        found = [[None if self.trouble else self.values.get((view, key)) for key in keys] for view, keys in wanted]
        return Fetched(found, self.trouble)

    def write(self, view: str, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        self.values.update({(view, key): value for key, value in zip(keys, values, strict=True)})

    def drop(self, view: str) -> None:
        self.values = {place: value for place, value in self.values.items() if place[0] != view}

    def close(self) -> None:
        pass


def lookup_over(views: Sequence[PackedView], rows: Mapping[str, Rows]) -> tuple[PackedLookup, DictionaryStore]:
    """A lookup of customers over a dictionary: view → its rows."""
    store = DictionaryStore()
    for view in views:
        write_rows(store, view, rows.get(view.name, {}))
    return PackedLookup(PackedReader(store), views), store


def tiny_lookup(customers: int = 12) -> PackedLookup:
    """A lookup over the tiny shop, in memory."""
    return lookup_over(VIEWS, shop(customers))[0]


def write_online_store(path: Path, customers: int = 12) -> str:
    """Write customers 00000001 … to the file `path`, and return the address of the store."""
    store = PackedSqliteFile(path, PROJECT)
    for view in VIEWS:
        store.create(view.name)
        write_rows(store, view, shop(customers)[view.name])
    return f"sqlite:///{path}?project={PROJECT}"


def write_rows(store: Any, view: PackedView, rows: Rows) -> None:
    """Write a view's rows, by the one key that it has, to a packed store."""
    columns: dict[str, Any] = {}
    for name, kind in view.fields.items():
        cells = [values.get(name) for _, values in rows.values()]
        columns[name] = _lists(cells, kind) if kind.startswith("Array") else np.array([*cells, None], object)[:-1]
    times = RowTimes.of([event_us for event_us, _ in rows.values()])
    (key,) = view.join_keys
    store.write(view.name, entity_keys([key], {key: list(rows)}), encode_rows(view.schema, columns, times))


def _lists(cells: list[Any], kind: str) -> Ragged:
    lists = [() if cell is None else cell for cell in cells]
    ends = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    values = [item for cell in lists for item in cell]
    return Ragged(np.array(values, object) if kind == "Array(String)" else np.array(values), ends)
