"""Where each event is: in which list, and whether in the session that runs at t; counts of events by that.

A request has one list: `PlacesOfOne` gives the same numbers for it in a third of the time.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import EVENT_TYPES
from feature_repo.transforms.event_lists import EventLists, kind_code
from feature_repo.transforms.session import PAUSE_US, running_session
from feature_repo.transforms.words import UNKNOWN

__all__ = ["KINDS", "Places", "PlacesOfOne", "among", "divided", "places_of"]

KINDS = {"view": "views", "favourite": "favourites", "add_to_cart": "carts", "purchase": "purchases"}
_WIDTH = len(EVENT_TYPES) + 1  # the first place is for another word, whose code is -1
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Places:
    """Of n lists, about each event: `row`, the list it is in; `begins`, whether a session begins with it; `current`,
    whether it belongs to the session that runs at t.
    """

    row: Whole
    begins: Mask
    current: Mask
    n: int

    def count(self, chosen: Mask) -> Floats:
        """How many `chosen` events each list holds."""
        return np.bincount(self.row[chosen], minlength=self.n).astype(np.float64)

    def kinds(self, kinds: NDArray[np.int8], chosen: Mask) -> dict[str, Floats]:
        """How many `chosen` events of each of `KINDS` each list holds, and `events` of any kind."""
        place = self.row[chosen] * _WIDTH + (kinds[chosen] + 1)
        table = np.bincount(place, minlength=self.n * _WIDTH).reshape(self.n, _WIDTH)
        counts = {name: table[:, kind_code(kind) + 1].astype(np.float64) for kind, name in KINDS.items()}
        return counts | {"events": table.sum(axis=1).astype(np.float64)}

    def distinct(self, codes: NDArray[np.int32], chosen: Mask) -> Floats:
        """How many different known `codes` the `chosen` events of each list have."""
        keys = np.sort(self._keys(codes, chosen))
        return np.bincount(keys[_run_ends(keys)] >> 32, minlength=self.n).astype(np.float64)

    def most(self, codes: NDArray[np.int32], chosen: Mask) -> Floats:
        """How many of the `chosen` events of each list have its most frequent known code."""
        keys = np.sort(self._keys(codes, chosen))
        ends = _run_ends(keys)
        result = np.zeros(self.n)
        np.maximum.at(result, keys[ends] >> 32, np.diff(ends, prepend=-1))
        return result

    def pairs(self, codes: NDArray[np.int32], chosen: Mask) -> tuple[Whole, Whole]:
        """The different pairs (list, code) of `chosen` events as one number each, and where the last of each is."""
        keys = self._keys(codes, chosen)
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        ends = _run_ends(ordered)
        place = np.flatnonzero(chosen & (codes != UNKNOWN))
        return ordered[ends], place[order[ends]]

    def of_pairs(self, pairs: Whole) -> Floats:
        """How many of `pairs`, as the method of that name gives them, each list has."""
        return np.bincount(pairs >> 32, minlength=self.n).astype(np.float64)

    def newest(self, values: NDArray[Any], chosen: Mask) -> Floats:
        """The value of the newest `chosen` event of each list; NaN where none is chosen."""
        newest = np.full(self.n, np.nan)
        newest[self.row[chosen]] = values[chosen]  # the last one of a row is written last
        return newest

    def _keys(self, codes: NDArray[np.int32], chosen: Mask) -> Whole:
        known = chosen & (codes != UNKNOWN)
        return (self.row[known] << 32) | codes[known].astype(np.int64)


class PlacesOfOne(Places):
    """`Places` of a single list: what it counts is counted without sorting."""

    __slots__ = ()

    def count(self, chosen: Mask) -> Floats:
        """How many `chosen` events there are, of shape (1,)."""
        return np.array([float(np.count_nonzero(chosen))])

    def kinds(self, kinds: NDArray[np.int8], chosen: Mask) -> dict[str, Floats]:
        """How many `chosen` events of each of `KINDS` there are, and `events` of any kind."""
        counts = np.bincount(kinds[chosen] + 1, minlength=_WIDTH).astype(np.float64)
        found = {name: counts[kind_code(kind) + 1 : kind_code(kind) + 2] for kind, name in KINDS.items()}
        return found | {"events": counts.sum(keepdims=True)}

    def distinct(self, codes: NDArray[np.int32], chosen: Mask) -> Floats:
        """How many different known `codes` the `chosen` events have."""
        return np.array([float(len({*codes[chosen].tolist()} - {UNKNOWN}))])

    def most(self, codes: NDArray[np.int32], chosen: Mask) -> Floats:
        """How many of the `chosen` events have the most frequent known code."""
        counts = Counter(codes[chosen].tolist())
        del counts[UNKNOWN]
        return np.array([float(max(counts.values(), default=0))])

    def pairs(self, codes: NDArray[np.int32], chosen: Mask) -> tuple[Whole, Whole]:
        """The different known codes of `chosen` events, rising, and where the last of each is."""
        (place,) = chosen.nonzero()
        # In a dictionary a later event takes the place of an earlier one with the same code.
        last = dict(zip(codes[place].tolist(), place.tolist(), strict=True))
        last.pop(UNKNOWN, None)
        known = sorted(last)
        return np.array(known, np.int64), np.array([last[code] for code in known], np.int64)

    def of_pairs(self, pairs: Whole) -> Floats:
        """How many `pairs` there are, of shape (1,)."""
        return np.array([float(len(pairs))])

    def newest(self, values: NDArray[Any], chosen: Mask) -> Floats:
        """The value of the newest `chosen` event; NaN where none is chosen."""
        (place,) = chosen.nonzero()
        return np.array([float(values[place[-1]]) if len(place) else np.nan])


def places_of(lists: EventLists, at_us: Whole) -> Places:
    """Return where each event is: in which list, and whether in the session that runs at t (shape (n,))."""
    in_session = running_session(lists, at_us).events
    at, lengths = lists["event_at"], lists.lengths
    begins = np.ones(len(at), np.bool_)
    np.greater_equal(at[1:] - at[:-1], PAUSE_US, out=begins[1:])
    if len(lists) == 1:
        current = np.zeros(len(at), np.bool_)
        current[len(at) - int(in_session[0]) :] = True
        return PlacesOfOne(np.zeros(len(at), np.int64), begins, current, 1)
    begins[lists.offsets[:-1][lengths > 0]] = True
    row = np.repeat(np.arange(len(lists)), lengths)
    current = np.arange(len(at)) >= np.repeat(lists.offsets[1:] - in_session, lengths)
    return Places(row, begins, current, len(lists))


def among(numbers: Whole, others: Whole) -> Mask:
    """Say which of the different rising `numbers` are among `others`, which are different and rise too."""
    if not (len(numbers) and len(others)):
        return np.zeros(len(numbers), np.bool_)
    place = others.searchsorted(numbers)
    place[place == len(others)] = 0  # beyond all: the first is another number
    found: Mask = others[place] == numbers
    return found


def divided(parts: dict[str, tuple[Floats, Floats]]) -> dict[str, Floats]:
    """Divide each (part, whole), all at once; NaN where the whole is 0."""
    part, whole = np.array([*parts.values()]).swapaxes(0, 1)
    share = np.full(part.shape, np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return dict(zip(parts, share, strict=True))


def _run_ends(ordered: Whole) -> Whole:
    """Return the last place of each run of equal numbers."""
    last = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=last[:-1])
    return np.flatnonzero(last)
