"""Reading packed rows straight into NumPy columns, from any store that can fetch many values in one round trip."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from intent_stores.packed_keys import entity_keys
from intent_stores.packed_view import PackedView, ViewColumns, unanswered, view_columns

_NO_PLACE = "the store does not know the view"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Wanted = Sequence[tuple[str, Sequence[bytes]]]
"""(name of a view, canonical keys) for each view of a request."""

WRITINGS = "#writings"
"""Under this name a store that notes its writings holds, by the name of a view, what tells the last one from others."""

Change = Callable[[Sequence[int], Sequence[bytes | None]], Sequence[bytes | None]]
"""(places of some keys, what is stored there) → what is to be stored; None leaves a key as it is."""


@dataclass(frozen=True)
class Fetched:
    """What a store found: for each view its values in the order of the keys, None where there is none.

    `trouble` says why the store gave no answer at all (down, slow, …): then every value is None. `lacking` names views
    that the store has no place for: they were never registered here, or it is another project's store.
    """

    values: list[list[bytes | None]]
    trouble: str | None = None
    lacking: frozenset[str] = frozenset()


class PackedStore(Protocol):
    """A store of packed values. May be called from several threads.

    `notes_writings` says whether each change of a view changes what is found under its name in `WRITINGS`, in one
    transaction.
    """

    notes_writings: bool

    def fetch(self, wanted: Wanted) -> Fetched:
        """Return the values of all views in one round trip; never raises because the store is away."""
        ...

    def write(self, view: str, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Store values, each unless a newer one is there (by version), atomically for each key.

        Raises:
            OnlineStoreUnavailableError: they could not be stored.
        """
        ...

    def change(self, view: str, keys: Sequence[bytes], change: Change) -> None:
        """Replace values by what `change` makes of those that are there, atomically for each key.

        `change` is called again, for the keys that somebody else wrote meanwhile, with what is there by then.

        Arguments:
            keys: different ones; `change` gets places in this list.

        Raises:
            OnlineStoreUnavailableError: the store cannot be written. What `change` raises passes through.
        """
        ...

    def count(self, view: str) -> int:
        """Return how many entities a view holds values of; notes, whose keys begin with `#`, are not counted.

        Raises:
            OnlineStoreUnavailableError: the store cannot be read.
        """
        ...

    def drop(self, view: str) -> None:
        """Remove all values of a view."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


class PackedReader:
    """The columnar read: keys in, NumPy columns and the state of every row out.

    `counts` adds up, for each (view, reason), the rows that were not fresh.
    """

    def __init__(self, store: PackedStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.counts: Counter[tuple[str, str]] = Counter()

    def read_columns(
        self,
        views: Sequence[PackedView],
        keys: Mapping[str, Any],
        at: datetime | int | None = None,
        keep_stale: bool = False,
    ) -> dict[str, ViewColumns]:
        """Return the rows of every view for these keys, in one round trip.

        Arguments:
            keys: join key → values. Each view takes the columns it is keyed by, so one user and 200 items make one
                row of a user's view, 200 of an item's, and 200 of a view keyed by both.
            at: the moment of the question: a time (naive: UTC), or microseconds since 1970. Default: now.
            keep_stale: whether values older than the view's time to live are returned beside their status; else null.

        Returns:
            View → its columns. A store that does not answer gives missing rows with the reason.

        Raises:
            OnlineKeyError: keys are missing, or cannot be keys.
        """
        found = self._read(views, keys, microseconds(at), keep_stale)
        self._count(found)
        return found

    def trouble(self) -> str | None:
        """Return why the store cannot be read just now, or None if it answers."""
        return self._store.fetch([]).trouble

    @property
    def circuit_open(self) -> bool:
        """Whether the store is not asked just now, because it failed several times; False of one without a breaker."""
        return bool(getattr(self._store, "circuit_open", False))

    def close(self) -> None:
        """Close the store's connections."""
        self._store.close()

    def _read(
        self, views: Sequence[PackedView], keys: Mapping[str, Any], at_us: int, keep_stale: bool
    ) -> dict[str, ViewColumns]:
        return self._columns(views, self._store.fetch(wanted_rows(views, keys)), at_us, keep_stale)

    def _columns(
        self, views: Sequence[PackedView], fetched: Fetched, at_us: int, keep_stale: bool
    ) -> dict[str, ViewColumns]:
        found: dict[str, ViewColumns] = {}
        for view, values in zip(views, fetched.values, strict=False):  # a holding reader asks for more than rows
            trouble = _NO_PLACE if view.name in fetched.lacking else fetched.trouble
            if trouble is None:
                found[view.name] = view_columns(view, values, at_us, keep_stale)
            else:
                found[view.name] = unanswered(view, len(values), trouble)
        return found

    def _count(self, found: Mapping[str, ViewColumns]) -> None:
        others = [(name, columns) for name, columns in found.items() if not columns.all_fresh]
        seen = [(name, reason) for name, columns in others for reason in columns.reason.tolist() if reason is not None]
        if seen:
            with self._lock:
                self.counts.update(seen)


def wanted_rows(views: Sequence[PackedView], keys: Mapping[str, Any]) -> Wanted:
    """Return what to fetch of each view for these join keys; the same list of keys for views that have the same ones.

    Raises:
        OnlineKeyError: keys are missing, or cannot be keys.
    """
    canonical: dict[tuple[str, ...], list[bytes]] = {}
    wanted = []
    for view in views:
        names = tuple(view.join_keys)
        if names not in canonical:
            canonical[names] = entity_keys(names, keys)
        wanted.append((view.name, canonical[names]))
    return wanted


def microseconds(at: datetime | int | None) -> int:
    """Return a moment in microseconds since 1970; None is now, a naive time is UTC."""
    if at is None:
        return time.time_ns() // 1000
    if isinstance(at, datetime):
        return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)
    return at
