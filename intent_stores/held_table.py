"""Unpacked rows of one view, one after another in memory, taken by their places."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intent_stores.packed_codec import OK, DecodedRows, RowTimes, decode_rows
from intent_stores.packed_view import PackedView, ViewColumns, columns_at, fresh_columns
from intent_stores.ragged_column import Column

__all__ = ["HeldTable"]

_ROOM = 1024


class HeldTable:
    """Rows of a view without lists. May be read from several threads while none adds.

    A row's numbers lie side by side: hundreds of rows out of tens of thousands are then hundreds of places in memory,
    and not as many again for each feature.
    """

    def __init__(self, view: PackedView) -> None:
        self._view, self._schema = view, view.schema
        nothing = decode_rows(self._schema, [])
        layout: list[Any] = [("times", np.int64, (len(nothing.times),)), ("reason", np.uint8)]
        layout.append(("valid", np.bool_, (len(self._schema.order),)))
        for kind, names in self._schema.blocks.items():
            layout.append((kind, np.asarray(nothing.values[names[0]]).dtype, (len(names),)))
        self._numbers = np.zeros(0, np.dtype(layout))
        self._texts = np.empty((0, len(self._schema.variable)), object)
        self._count = 0
        self._newest, self._oldest = np.iinfo(np.int64).min, np.iinfo(np.int64).max

    def add(self, values: Sequence[bytes | None]) -> None:
        """Hold what a store has for some keys, after what is held."""
        start, stop, rows = self._count, self._count + len(values), decode_rows(self._schema, values)
        self._make_room(stop)
        held = self._numbers[start:stop]
        for place, times in enumerate(rows.times):
            held["times"][:, place] = times
        held["reason"] = rows.reason
        for place, name in enumerate(self._schema.order):
            held["valid"][:, place] = rows.valid[name]
        for kind, names in self._schema.blocks.items():
            for place, name in enumerate(names):
                held[kind][:, place] = rows.values[name]
        for place, name in enumerate(self._schema.variable):
            self._texts[start:stop, place] = rows.values[name]
        self._count = stop
        self._note_times(rows)

    def columns_at(self, places: NDArray[np.int64], at_us: int) -> ViewColumns | None:
        """Return the rows at `places` as they count at `at_us`; None if one of them is to be hidden then."""
        rows = self._rows(places)
        ttl = self._view.ttl_us
        if self._newest <= at_us and (not ttl or self._oldest >= at_us - ttl) and not rows.reason.any():
            return fresh_columns(rows, at_us)
        return columns_at(self._view, rows, at_us)

    def _note_times(self, rows: DecodedRows) -> None:
        """Keep when the newest thing was known and the oldest one happened: between them, all rows are fresh."""
        there = rows.reason == OK
        if there.any():
            event, created = rows.times.event_us[there], rows.times.created_us[there]
            self._newest = max(self._newest, int(event.max()), int(created.max()))
            self._oldest = min(self._oldest, int(event.min()))

    def _rows(self, places: NDArray[np.int64]) -> DecodedRows:
        numbers = self._numbers.take(places)
        values: dict[str, Column] = {}
        for kind, names in self._schema.blocks.items():
            values.update(zip(names, _lines(numbers[kind]), strict=True))
        if self._schema.variable:
            values.update(zip(self._schema.variable, _lines(self._texts.take(places, axis=0)), strict=True))
        valid = dict(zip(self._schema.order, _lines(numbers["valid"]), strict=True))
        return DecodedRows(values, valid, RowTimes(*_lines(numbers["times"])), np.ascontiguousarray(numbers["reason"]))

    def _make_room(self, count: int) -> None:
        """See to room for `count` rows, each time for twice as many: so a row is moved about once."""
        room = len(self._numbers)
        if count > room:
            more = max(2 * room, count, _ROOM) - room
            self._numbers = np.concatenate([self._numbers, np.zeros(more, self._numbers.dtype)])
            self._texts = np.concatenate([self._texts, np.empty((more, self._texts.shape[1]), object)])


def _lines(rows: NDArray[Any]) -> NDArray[Any]:
    """Turn rows of features into a line for each feature."""
    return np.ascontiguousarray(rows.T)
