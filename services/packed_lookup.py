"""What is known of customers and items, read from the packed online stores. No Feast, no protobuf, no pandas.

A view's rows come as NumPy columns, all views in one round trip; the reader says what is fresh, stale or missing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import DependencyDown
from feature_repo.transforms.ragged import Ragged
from intent_stores.errors import ConfigurationError, OnlineStoreUnavailableError
from intent_stores.held_rows import HoldingReader
from intent_stores.packed_reader import PackedReader
from intent_stores.packed_sqlite import PackedSqliteFile
from intent_stores.packed_view import PackedView, ViewColumns
from services.feature_lookup import OF_ROWS, Keys, ViewRows
from services.online_url import VARIABLE, RedisUrl, SqliteUrl

__all__ = ["PackedLookup", "open_lookup"]

_MATERIALIZE = "Run `intent materialize` and start the service with the address that it prints."
_NOBODY = "nobody"
_SAMPLE = 16
_INSIDE = "newer than at"


class PackedLookup:
    """A `services.feature_lookup.FeatureLookup` over a reader of packed rows."""

    def __init__(
        self,
        reader: PackedReader,
        views: Sequence[PackedView],
        lacking: Callable[[Sequence[str]], list[str]] | None = None,
        sample: Callable[[str, int], list[bytes]] | None = None,
    ) -> None:
        """Prepare; nothing is opened before the first read.

        Args:
            reader: of the store.
            views: what to read.
            lacking: which of these views the store has never heard of, where it can tell.
            sample: at most so many values that the store holds of a view.
        """
        self._reader = reader
        self.views = views
        self._lacking = lacking
        self._sample = sample

    def lookup(self, keys: Keys, at_us: int) -> Mapping[str, ViewRows]:
        """Return the rows of every view at `at_us`.

        Raises:
            OnlineKeyError: ids of a join key are missing, or cannot be keys.
        """
        found = self._reader.read_columns(self.views, keys, at_us)
        return {view.name: _rows(view, found[view.name], at_us) for view in self.views}

    def other_schema(self) -> list[str]:
        """Return the views of which all rows looked at were written by another schema; none where it cannot tell.

        It may take a second: it is no part of answering a request.
        """
        if self._sample is None:
            return []
        try:
            return [view.name for view in self.views if view.differs_from(self._sample(view.name, _SAMPLE))]
        except OnlineStoreUnavailableError:  # nothing can be told of a store that is away
            return []

    @property
    def circuit_open(self) -> bool:
        """Whether the store is not asked just now, because it failed several times."""
        return self._reader.circuit_open

    def close(self) -> None:
        """Close the store's connections."""
        self._reader.close()

    def trouble(self) -> str | None:
        """Return why the store cannot be read just now, or None if it holds all views."""
        reason = self._reader.trouble()
        try:
            missing = self._lacking([view.name for view in self.views]) if self._lacking and reason is None else []
        except OnlineStoreUnavailableError as error:
            return f"{error} {_MATERIALIZE}"
        if missing:
            return f"The online store has no table of the project for the views {missing}; expected all. {_MATERIALIZE}"
        reason = reason or self._unreadable()
        if reason is not None:
            return f"{VARIABLE} names a store that cannot be read ({reason}); expected one that answers. {_MATERIALIZE}"
        return None

    def _unreadable(self) -> str | None:
        """Return why a row that is not there cannot be looked for, as in a file that is damaged; None if it can."""
        nobody = {key: [_NOBODY] for view in self.views for key in view.join_keys}
        found = self._reader.read_columns(self.views, nobody, time.time_ns() // 1000)
        reasons = [rows.reason[0] for rows in found.values()]
        return next((reason for reason in reasons if reason is not None and reason not in OF_ROWS), None)


def open_lookup(url: SqliteUrl | RedisUrl, views: Sequence[PackedView]) -> PackedLookup:
    """Return a lookup over the store at `url`; nothing is opened before the first read.

    Raises:
        DependencyDown: the address is none that the store's client understands.
    """
    if isinstance(url, SqliteUrl):
        file = PackedSqliteFile(url.path, url.project)
        seldom_written = [view for view in views if view.join_keys and "user_id" not in view.join_keys]
        return PackedLookup(HoldingReader(file, seldom_written), views, file.lacking, file.sample)
    from intent_stores.packed_redis import PackedRedisServer  # its client takes a while to import

    try:
        server = PackedRedisServer(url.address, url.project)
        return PackedLookup(PackedReader(server), views, sample=server.sample)
    except ConfigurationError:  # its text may repeat the address, and so a password
        raise DependencyDown(f"{VARIABLE} cannot be used: {url} is none that the Redis client understands.") from None


def _rows(view: PackedView, found: ViewColumns, at_us: int) -> ViewRows:
    columns = {name: _column(kind, found.values[name], found.valid[name]) for name, kind in view.fields.items()}
    ahead = _ahead(columns, at_us)
    if found.all_fresh and ahead is None:
        return ViewRows(columns, found.status, found.reason, found.age_us / 1e6, all_fresh=True)
    age = np.where(found.age_us < 0, np.nan, found.age_us / 1e6)
    rows = ViewRows(columns, found.status, found.reason, age)
    return rows if ahead is None else rows.without(ahead, _INSIDE)


def _column(kind: str, values: Any, valid: NDArray[np.bool_]) -> Any:
    if kind.startswith("Array"):
        return Ragged(values.values, values.offsets)
    if kind == "Int64":  # float64 too, for a missing one must be NaN: 2**53 µs is the year 2255
        return np.where(valid, values, np.nan)
    return values


def _ahead(columns: Mapping[str, Any], at_us: int) -> NDArray[np.bool_] | None:
    """Say which rows hold a moment after `at_us`, whatever their own event time: Feast's `push` takes any.

    None if no row does.
    """
    moments = [column for field, column in columns.items() if field.endswith("_at")]
    newest = [column.last() if isinstance(column, Ragged) else column for column in moments]
    ahead = [values > at_us for values in newest]
    return np.logical_or.reduce(ahead) if any(rows.any() for rows in ahead) else None
