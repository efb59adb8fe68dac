"""Rows of views that are written seldom, kept unpacked between reads: what an item is, for a ranking of hundreds.

A store that notes its writings tells with every read which writing of a view was the last. As long as it is the one
under which the rows were read, they are what the store has, exactly; after another one they are forgotten. No clock is
involved, and no row is older than the read that it answers.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intent_stores.packed_codec import DecodedRows, RowTimes, decode_rows
from intent_stores.packed_reader import WRITINGS, PackedReader, PackedStore, Wanted
from intent_stores.packed_view import PackedView, ViewColumns, columns_at, unanswered
from intent_stores.ragged_column import Column

__all__ = ["MOST_ROWS", "HoldingReader"]

MOST_ROWS = 50_000
"""The most rows of a view that are held; where one more is asked for, all are forgotten."""


class HoldingReader(PackedReader):
    """A `PackedReader` that holds the rows of some views. May be called from several threads."""

    def __init__(self, store: PackedStore, held: Sequence[PackedView]) -> None:
        """Prepare.

        Arguments:
            store: one that notes its writings; of another one nothing is held.
            held: the views; one with a list among its fields is read anew each time.
        """
        super().__init__(store)
        lists = {view.name for view in held if any(kind.startswith("Array") for kind in view.fields.values())}
        self._held = {v.name: _HeldRows(v) for v in held if store.notes_writings and v.name not in lists}
        self._holding = threading.Lock()

    def _read(
        self, views: Sequence[PackedView], wanted: Wanted, at_us: int, keep_stale: bool
    ) -> dict[str, ViewColumns]:
        held = [view for view in views if view.name in self._held]
        if not held:
            return super()._read(views, wanted, at_us, keep_stale)
        keys = dict(wanted)
        others = [view for view in views if view.name not in self._held]
        asked = [(view.name, keys[view.name]) for view in others]
        fetched = self._store.fetch([*asked, (WRITINGS, [view.name.encode() for view in held])])
        found = self._columns(others, fetched, at_us, keep_stale)
        for view, writing in zip(held, fetched.values[-1], strict=True):
            if fetched.trouble is not None:
                found[view.name] = unanswered(view, len(keys[view.name]), fetched.trouble)
                continue
            known = None if writing is None else self._known(view, writing, keys[view.name], at_us)
            found[view.name] = (
                known or super()._read([view], [(view.name, keys[view.name])], at_us, keep_stale)[view.name]
            )
        return {view.name: found[view.name] for view in views}

    def _known(self, view: PackedView, writing: bytes, keys: Sequence[bytes], at_us: int) -> ViewColumns | None:
        """Return the rows; None where the store is away or was just written, or a row is to be hidden at `at_us`."""
        rows = self._held[view.name]
        with self._holding:
            taken = rows.taken(writing, keys)
            if taken is None:
                lacking = rows.lacking(keys)
                fetched = self._store.fetch([(view.name, lacking), (WRITINGS, [view.name.encode()])])
                if fetched.trouble is not None or fetched.lacking or fetched.values[1] != [writing]:
                    return None  # it was written meanwhile: held rows and these would be of two writings
                rows.add(lacking, fetched.values[0])
                taken = rows.taken(writing, keys)
        return None if taken is None else columns_at(view, taken, at_us)


class _HeldRows:
    """Unpacked rows of one view, by key, all of one writing.

    A row's numbers lie side by side: hundreds of rows out of tens of thousands are then hundreds of places in memory,
    and not as many again for each feature.
    """

    def __init__(self, view: PackedView) -> None:
        self._schema = view.schema
        nothing = decode_rows(self._schema, [])
        layout: list[Any] = [("times", np.int64, (len(nothing.times),)), ("reason", np.uint8)]
        layout.append(("valid", np.bool_, (len(self._schema.order),)))
        for kind, names in self._schema.blocks.items():
            layout.append((kind, np.asarray(nothing.values[names[0]]).dtype, (len(names),)))
        self._layout = np.dtype(layout)
        self._forget(b"")

    def taken(self, writing: bytes, keys: Sequence[bytes]) -> DecodedRows | None:
        """Return the rows as `decode_rows` gives them, or None if one of them is not held; forget another writing's."""
        if writing != self._writing:
            self._forget(writing)
        places = [*map(self._places.get, keys)]
        return None if None in places else self._rows(np.array(places, np.int64))

    def lacking(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return the keys that are not held; where that would be too many, nothing is held any more."""
        lacking = [key for key in dict.fromkeys(keys) if key not in self._places]
        if len(self._places) + len(lacking) <= MOST_ROWS:
            return lacking
        self._forget(self._writing)
        return [*dict.fromkeys(keys)]

    def add(self, keys: Sequence[bytes], values: Sequence[bytes | None]) -> None:
        """Hold what the store has for these keys."""
        start, rows = len(self._places), decode_rows(self._schema, values)
        self._make_room(start + len(keys))
        held = self._numbers[start : start + len(keys)]
        for place, times in enumerate(rows.times):
            held["times"][:, place] = times
        held["reason"] = rows.reason
        for place, name in enumerate(self._schema.order):
            held["valid"][:, place] = rows.valid[name]
        for kind, names in self._schema.blocks.items():
            for place, name in enumerate(names):
                held[kind][:, place] = rows.values[name]
        for place, name in enumerate(self._schema.variable):
            self._texts[start : start + len(keys), place] = rows.values[name]
        self._places.update(zip(keys, range(start, start + len(keys)), strict=True))

    def _rows(self, places: NDArray[np.int64]) -> DecodedRows:
        numbers = self._numbers.take(places)
        values: dict[str, Column] = {}
        for kind, names in self._schema.blocks.items():
            values.update(zip(names, _lines(numbers[kind]), strict=True))
        if self._schema.variable:
            values.update(zip(self._schema.variable, _lines(self._texts.take(places, axis=0)), strict=True))
        valid = dict(zip(self._schema.order, _lines(numbers["valid"]), strict=True))
        return DecodedRows(values, valid, RowTimes(*_lines(numbers["times"])), np.ascontiguousarray(numbers["reason"]))

    def _forget(self, writing: bytes) -> None:
        self._writing = writing
        self._places: dict[bytes, int] = {}
        self._numbers = np.zeros(0, self._layout)
        self._texts = np.empty((0, len(self._schema.variable)), object)

    def _make_room(self, count: int) -> None:
        """See to room for `count` rows, each time for twice as many: so a row is moved about once."""
        room = len(self._numbers)
        if count > room:
            more = max(2 * room, count, 1024) - room
            self._numbers = np.concatenate([self._numbers, np.zeros(more, self._layout)])
            self._texts = np.concatenate([self._texts, np.empty((more, self._texts.shape[1]), object)])


def _lines(rows: NDArray[Any]) -> NDArray[Any]:
    """Turn rows of features into a line for each feature."""
    return np.ascontiguousarray(rows.T)
