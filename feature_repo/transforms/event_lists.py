"""A customer's last events as lists of numbers: checked, coded and cut to t once, for every feature made of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_repo.errors import FeatureError
from feature_repo.events import EVENT_TYPES
from feature_repo.transforms.ragged import Ragged
from feature_repo.transforms.words import UNKNOWN, few_words, shared_codes, sought_codes

__all__ = ["EventLists", "by_block", "event_lists", "kind_code", "running_count"]

Floats = NDArray[np.float64]
_TYPES = {
    "event_at": pa.int64(),
    "event_type": pa.string(),
    "event_item": pa.string(),
    "event_category": pa.string(),
    "event_quantity": pa.float64(),
    "event_revenue": pa.float64(),
    "event_cost": pa.float64(),
    "event_price": pa.float64(),
}
_KINDS: dict[str | None, int] = {word: code for code, word in enumerate(EVENT_TYPES)}
# A block of lists is worked on while it is in the processor's cache: rows, and rows times the longest list.
_BLOCK_ROWS = 4096
_BLOCK_CELLS = 1 << 18


@dataclass(frozen=True, slots=True)
class EventLists:
    """The last events of n customers, each list oldest first; one value an event in every column.

    `offsets` is as in `Ragged`. `columns` maps a field of `user_events` to an array of shape (total,): `event_at`
    int64 microseconds since 1970, `event_type` int8 places in `EVENT_TYPES` (-1: another word), `event_item` and
    `event_category` int32 codes (-1: unknown), amounts float64 (NaN: unknown).
    """

    offsets: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, field: str) -> NDArray[Any]:
        return self.columns[field]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many events each list holds; shape (n,)."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def newest_at(self) -> NDArray[np.int64]:
        """When the newest event of each list happened; 0 where there is none. Shape (n,)."""
        if len(self) == 1 and self.offsets[1]:  # a request's
            one: NDArray[np.int64] = self["event_at"][-1:]
            return one
        newest = np.zeros(len(self), np.int64)
        filled = self.lengths > 0
        newest[filled] = self["event_at"][self.offsets[1:][filled] - 1]
        return newest

    def up_to(self, at_us: NDArray[np.int64]) -> "EventLists":
        """Return the lists without the events after t, which a feature at t must not see."""
        if not ((self.newest_at > at_us) & (self.lengths > 0)).any():
            return self
        keep = self["event_at"] <= np.repeat(at_us, self.lengths)
        offsets = running_count(keep)[self.offsets].astype(np.int64)
        return EventLists(offsets, {field: values[keep] for field, values in self.columns.items()})

    def blocks(self) -> Iterator[tuple[slice, "EventLists"]]:
        """Yield all rows in order, as (rows, their lists), in blocks that fit into the processor's cache."""
        first, lengths = 0, self.lengths
        if len(self) == 1:
            yield slice(0, 1), self
            return
        while first < len(self) or first == 0:
            longest = np.maximum.accumulate(lengths[first : first + _BLOCK_ROWS])
            cells = longest * np.arange(1, len(longest) + 1)
            last = min(len(self), first + max(1, int(np.searchsorted(cells, _BLOCK_CELLS, side="right"))))
            low, high = self.offsets[first], self.offsets[last]
            columns = {field: values[low:high] for field, values in self.columns.items()}
            yield slice(first, last), EventLists(self.offsets[first : last + 1] - low, columns)
            if last == len(self):
                return
            first = last


def by_block(lists: EventLists, compute: Callable[[EventLists, slice], dict[str, Floats]]) -> dict[str, Floats]:
    """Return what `compute` says of each block, laid end to end: name → float64 of shape (n,)."""
    parts = [compute(block, rows) for rows, block in lists.blocks()]
    if len(parts) == 1:  # one request's
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def kind_code(event_type: str) -> int:
    """Return the number that stands for `event_type` in `EventLists`."""
    return _KINDS[event_type]


def running_count(chosen: NDArray[np.bool_]) -> NDArray[Any]:
    """How many of `chosen` lie before each place; int32 if that is enough, else int64; shape (total + 1,)."""
    count = np.empty(len(chosen) + 1, np.int32 if len(chosen) < 1 << 31 else np.int64)
    count[0] = 0
    np.cumsum(chosen, dtype=count.dtype, out=count[1:])
    return count


def event_lists(
    columns: Mapping[str, Any], at_us: NDArray[np.int64], fields: tuple[str, ...], beside: Mapping[str, Any]
) -> tuple[EventLists, dict[str, NDArray[np.int32]]]:
    """Code and check the `fields` of `user_events`, and leave out what happened after t.

    Args:
        columns: field → lists, one a customer: an Arrow list array (of text or dictionaries), a `Ragged` (text as
            objects), or whatever else `pyarrow.array` makes lists of, such as a pandas column; a null list is empty.
        at_us: t for each row, int64 microseconds since 1970, shape (n,).
        fields: what to read, `event_at` among them.
        beside: field of words → what is to be coded together with it: the name of a column with one word a row, or any
            number of words, object of shape (m,); None or '' for unknown.

    Returns:
        the lists; and for each field in `beside` the codes, int32 of shape (n,) or (m,): a word of the lists has its
        code there, another one any number that is none of theirs.

    Raises:
        FeatureError: a column is missing, has other rows or lengths than the rest, or is not ordered by time.
    """
    raw = {field: _flat(_column(columns, field, len(at_us)), field) for field in fields}
    _require_same_lengths(raw)
    coded: dict[str, NDArray[Any]] = {}
    codes: dict[str, NDArray[np.int32]] = {}
    for field, lists in raw.items():
        if field in beside:
            words = beside[field]
            words = _column(columns, words, len(at_us)) if isinstance(words, str) else words
            coded[field], codes[field] = sought_codes(lists.values, words)
        elif field == "event_type":
            coded[field] = _kinds(lists.values)
        elif _TYPES[field] == pa.string():
            coded[field] = shared_codes([lists.values])[0]
        else:
            coded[field] = _numbers(field, lists.values)
    checked = EventLists(raw["event_at"].offsets, coded)
    _require_order(checked)
    return checked.up_to(at_us), codes


def _column(columns: Mapping[str, Any], name: str, n: int) -> Any:
    try:
        column = columns[name]
    except KeyError as absent:
        raise FeatureError(
            f"Column {name!r} is missing; expected one row for each anchor. Read it from the feature store; "
            "a data set without it is of an earlier version: run `intent dataset` again."
        ) from absent
    if len(column) != n:
        raise FeatureError(
            f"Column {name!r} has {len(column)} rows; expected {n}, one for each anchor. "
            "Build all columns from the same list of customers."
        )
    return column


def _flat(column: Any, field: str) -> Ragged:
    """The lists of a field, with `values` as they come: NumPy or Arrow."""
    if isinstance(column, Ragged):
        return column
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not isinstance(array, pa.Array):
        # `from_pandas` also takes NaN for null, which an amount need not become: it would only be turned back.
        array = pa.array(array, pa.list_(_TYPES[field]), from_pandas=_TYPES[field] == pa.string())
    lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return Ragged(array.flatten(), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def _require_same_lengths(raw: dict[str, Ragged]) -> None:
    expected = raw["event_at"].offsets
    bits = expected.tobytes()  # the same bits in the usual case, which takes less time to see
    for field, lists in raw.items():
        if lists.offsets.tobytes() != bits and not np.array_equal(lists.offsets, expected):
            raise FeatureError(
                f"Lists of {field!r} have other lengths than those of 'event_at' ({lists.offsets[-1]} values against "
                f"{expected[-1]}); expected one value an event in each. Read all fields of user_events together."
            )


def _numbers(field: str, values: Any) -> NDArray[Any]:
    if isinstance(values, pa.Array):
        if field == "event_at" and values.null_count:
            raise FeatureError(
                f"{values.null_count} moments in 'event_at' are null; expected a moment for every event. "
                "Read the lists through the offline store intent_stores.offline_asof."
            )
        values = values.cast(_TYPES[field]).to_numpy(zero_copy_only=False)
    return np.asarray(values, np.int64 if field == "event_at" else np.float64)


def _kinds(words: Any) -> NDArray[np.int8]:
    few = few_words(words)
    if few is not None:
        return np.array([_KINDS.get(word, UNKNOWN) for word in few], np.int8)
    codes, known = shared_codes([words, pa.array(EVENT_TYPES)])
    place = np.full(max(codes.max(initial=0), known.max()) + 2, UNKNOWN, np.int8)
    place[known] = np.arange(len(EVENT_TYPES))
    return place[codes]  # UNKNOWN takes the last place, which is UNKNOWN


def _require_order(lists: EventLists) -> None:
    at = lists["event_at"]
    falls = at[1:] < at[:-1]
    borders = lists.offsets[1:-1]
    falls[borders[(borders > 0) & (borders < len(at))] - 1] = False
    if falls.any():
        raise FeatureError(
            f"{int(falls.sum())} events lie before the one they follow in their list; expected each list oldest "
            "first. Read the lists through the offline store intent_stores.offline_asof."
        )
