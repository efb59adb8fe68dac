"""Rows of views that are written seldom, kept unpacked between reads: what an item is, for a ranking of hundreds.

A store that notes its writings tells with every read which writing of a view was the last. As long as it is the one
under which the rows were read, they are what the store has, exactly; after another one they are forgotten. No clock is
involved, and no row is older than the read that it answers. Views with the same join keys are held, and forgotten,
together: a key is looked for once.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intent_stores.held_table import HeldTable
from intent_stores.packed_keys import entity_keys
from intent_stores.packed_reader import WRITINGS, PackedReader, PackedStore, wanted_rows
from intent_stores.packed_view import PackedView, ViewColumns, unanswered

__all__ = ["MOST_ROWS", "HoldingReader"]

_TEXT = {str}
MOST_ROWS = 50_000
"""The most keys whose rows are held; where one more is asked for, all are forgotten."""


class HoldingReader(PackedReader):
    """A `PackedReader` that holds the rows of some views. May be called from several threads."""

    def __init__(self, store: PackedStore, held: Sequence[PackedView]) -> None:
        """Prepare.

        Arguments:
            store: one that notes its writings; of another one nothing is held.
            held: the views; one with a list among its fields is read anew each time.
        """
        super().__init__(store)
        plain = [view for view in held if not any(kind.startswith("Array") for kind in view.fields.values())]
        alike: dict[tuple[str, ...], list[PackedView]] = {}
        for view in plain if store.notes_writings else ():
            alike.setdefault(tuple(view.join_keys), []).append(view)
        groups = [_HeldGroup(store, views) for views in alike.values()]
        self._groups = {view.name: group for group in groups for view in group.views}

    def _read(
        self, views: Sequence[PackedView], keys: Mapping[str, Any], at_us: int, keep_stale: bool
    ) -> dict[str, ViewColumns]:
        asked: dict[_HeldGroup, list[PackedView]] = {}
        for view in views:
            if view.name in self._groups:
                asked.setdefault(self._groups[view.name], []).append(view)
        if not asked:
            return super()._read(views, keys, at_us, keep_stale)
        others = [view for view in views if view.name not in self._groups]
        names = [name for group in asked for name in group.names]
        fetched = self._store.fetch([*wanted_rows(others, keys), _notes(names)])
        found = self._columns(others, fetched, at_us, keep_stale)
        writings = dict(zip(names, fetched.values[-1], strict=True))
        for group, of_group in asked.items():
            if fetched.trouble is None:
                found |= group.read(of_group, writings, keys, at_us)
            else:
                rows = len(entity_keys(of_group[0].join_keys, keys))
                found |= {view.name: unanswered(view, rows, fetched.trouble) for view in of_group}
        left = [view for view in views if view.name not in found]
        if left:  # a row is to be hidden, or a view was just written
            found |= super()._read(left, keys, at_us, keep_stale)
        return {view.name: found[view.name] for view in views}


class _HeldGroup:
    """Unpacked rows of views that have the same join keys, each view's all of one writing."""

    def __init__(self, store: PackedStore, views: Sequence[PackedView]) -> None:
        self.views, self.names = views, [view.name for view in views]
        self._store, self._join_keys = store, tuple(views[0].join_keys)
        self._lock = threading.Lock()
        self._forget({})

    def read(
        self, views: Sequence[PackedView], writings: Mapping[str, bytes | None], keys: Mapping[str, Any], at_us: int
    ) -> dict[str, ViewColumns]:
        """Return the rows of each view that can be told from what is held, or from what is to be held from now on.

        Left out are a view that was never written or was written just now, one with a row that is to be hidden at
        `at_us`, and all of them if the store is away.

        Raises:
            OnlineKeyError: keys are missing, or cannot be keys.
        """
        mine = {name: writings[name] for name in self.names}
        with self._lock:
            if mine != self._writings:
                self._forget(mine)
            places = self._places_of(self._ids(keys))
            if places is None:
                return {}
            tables = {view.name: self._tables[view.name] for view in views if view.name in self._tables}
            found = {name: table.columns_at(places, at_us) for name, table in tables.items()}
        return {name: columns for name, columns in found.items() if columns is not None}

    def _ids(self, keys: Mapping[str, Any]) -> Sequence[str | bytes]:
        """Return what rows are looked for by: ids of text as they come, which costs a third, else their keys."""
        ids = keys.get(self._join_keys[0]) if len(self._join_keys) == 1 else None
        if isinstance(ids, list) and set(map(type, ids)) == _TEXT:
            return ids
        return entity_keys(self._join_keys, keys)

    def _places_of(self, keys: Sequence[str | bytes]) -> NDArray[np.int64] | None:
        """Return where the rows are, once the store was asked for those that were not held; None if it did not tell."""
        known = [*map(self._places.get, keys)]
        if None in known:
            lacking = [key for key in dict.fromkeys(keys) if key not in self._places]
            if len(self._places) + len(lacking) > MOST_ROWS:
                self._forget(self._writings)
                lacking = [*dict.fromkeys(keys)]
            if not self._add(lacking):
                return None
            known = [*map(self._places.get, keys)]
        return np.array(known, np.int64)

    def _add(self, ids: Sequence[str | bytes]) -> bool:
        """Hold what the store has for these ids; False if it was written meanwhile: rows would be of two writings."""
        names = [*self._tables]
        keys = [id_ if isinstance(id_, bytes) else self._key(id_) for id_ in ids]
        fetched = self._store.fetch([*[(name, keys) for name in names], _notes(names)])
        if fetched.trouble is not None or fetched.lacking:
            return False
        if fetched.values[-1] != [self._writings[name] for name in names]:
            return False
        for name, values in zip(names, fetched.values[:-1], strict=True):
            self._tables[name].add(values)
        start = len(self._places)
        self._places.update(zip(ids, range(start, start + len(ids)), strict=True))
        return True

    def _key(self, text: str) -> bytes:
        return entity_keys(self._join_keys, {self._join_keys[0]: [text]})[0]

    def _forget(self, writings: Mapping[str, bytes | None]) -> None:
        self._writings = writings
        self._places: dict[str | bytes, int] = {}
        self._tables = {view.name: HeldTable(view) for view in self.views if writings.get(view.name) is not None}


def _notes(names: Sequence[str]) -> tuple[str, list[bytes]]:
    return WRITINGS, [name.encode() for name in names]
