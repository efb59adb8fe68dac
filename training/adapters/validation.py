"""Which rows can be used, and why not the others: the rules of the canonical events, a column at a time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.events import EVENT_TYPES
from training.adapters.coded_text import coded, of_rows
from training.adapters.contract import NUMBER_COLUMNS, CanonicalChunk, Problem
from training.adapters.text_letters import text_bytes

__all__ = ["EARLIEST", "LATEST", "REASONS", "Verdicts", "is_servable", "verdicts"]

# The rule of `services/contracts.py` for the `user_id` of a request, which this layer may not import: whoever has
# another id could be trained on, but never be scored.
ID_CHARACTERS = 128
FIRST_PRINTABLE, LAST_PRINTABLE = ord(" "), ord("~")

REASONS = {
    "wrong_column_count": "the row has more or fewer cells than the header",
    "unreadable_row": "the row is not what the format says, so it has no cells",
    "not_utf8": "a cell holds bytes that are not UTF-8",
    "not_an_id": "an id that is given as a number is not a whole one",
    "missing_user_id": "nobody is named",
    "missing_item_id": "a row about an item does not say which",
    "id_not_servable": f"the customer's id is longer than {ID_CHARACTERS} characters, or holds control characters",
    "unreadable_timestamp": "the time is not one that the adapter can read; where columns are mapped, `time_format` in "
    "[data] says how times are written",
    "missing_timestamp": "no time is given",
    "timestamp_out_of_range": "the time is before 1990 or after 2099",
    "outside_period": "the time is outside the period that the published data set covers",
    "missing_event_type": "no kind of event is given",
    "unknown_event_type": f"the kind of event is none of {', '.join(EVENT_TYPES)}",
    "not_a_number": "a cell holds something else where a number belongs",
    "number_out_of_range": "an amount is larger than a thousand million million, so that sums of it would be lost",
    "negative_quantity": "fewer than no pieces, and it is not a return",
    "unknown_currency": "the currency is not three capital letters (ISO 4217)",
    "duplicate": "an exact repetition of an earlier row of the source",
}
"""Every reason for quarantine; of several, the first of this list is given."""

LARGEST = 1e15  # amounts are added up exactly, as decimals: beyond it sums would not fit
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""Times in [EARLIEST, LATEST) are taken; what lies outside is a wrong unit or a slip. Never today's clock."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Verdicts:
    """What is wrong with each row of a chunk: `place` is int32[n], an index into `problems`, -1 where nothing is."""

    place: npt.NDArray[np.int32]
    problems: tuple[Problem, ...]

    @property
    def usable(self) -> Mask:
        """bool[n]: nothing is wrong."""
        return self.place < 0


def is_servable(user_id: str) -> bool:
    """Return whether the service answers for this id: 1 to 128 printable characters."""
    return 0 < len(user_id) <= ID_CHARACTERS and user_id.isprintable()


def verdicts(chunk: CanonicalChunk) -> Verdicts:
    """Return the first problem of each row, in the order of REASONS.

    A problem's `detail` names columns, never a customer or a value.
    """
    rank = {reason: place for place, reason in enumerate(REASONS)}
    found = [*chunk.problems, *_broken_rules(chunk)]
    problems = sorted((one for one in found if one.rows.any()), key=lambda one: rank[one.reason])
    place = np.full(chunk.rows.num_rows, -1, dtype=np.int32)
    for number in reversed(range(len(problems))):
        place[problems[number].rows] = number
    return Verdicts(place, tuple(problems))


def _broken_rules(chunk: CanonicalChunk) -> list[Problem]:
    found = []
    for reason, (column, broken) in RULES[chunk.about].items():
        mask = broken(chunk.rows)
        if mask is not None:
            found.append(Problem(reason, f"canonical column {column}", mask))
    return [*found, *_too_large(chunk.rows)]


def _too_large(rows: pa.Table) -> list[Problem]:
    found = []
    for name in NUMBER_COLUMNS:
        extent = pc.min_max(rows[name])
        least, most = extent["min"].as_py(), extent["max"].as_py()
        if least is not None and max(-least, most) > LARGEST:
            mask = _mask(pc.fill_null(pc.greater(pc.abs(rows[name]), LARGEST), False))
            found.append(Problem("number_out_of_range", f"canonical column {name}", mask))
    return found


Rule = tuple[str, Callable[[pa.Table], Mask | None]]


def _missing(column: str) -> Rule:
    def broken(rows: pa.Table) -> Mask | None:
        cells = rows[column]
        return _mask(pc.is_null(cells)) if cells.null_count else None

    return column, broken


def _unservable(rows: pa.Table) -> Mask | None:
    codes = coded(rows["user_id"])
    users = codes.dictionary
    if _is_plain(users):
        return None
    short = pc.less_equal(pc.utf8_length(users), ID_CHARACTERS)
    broken = ~_mask(pc.and_(short, pc.ascii_is_printable(users)))
    # Letters beyond ASCII, and what is really wrong: each id is looked at by Python's own rule.
    broken[broken] = [not is_servable(user) for user in users.filter(pa.array(broken)).to_pylist()]
    return of_rows(broken, codes.indices) if broken.any() else None


def _is_plain(text: pa.Array) -> bool:
    """Whether all of it is short and printable ASCII, told from its bytes at once; no may be wrong, yes never is."""
    found = text_bytes(text)
    if found is None:
        return False
    characters, ends = found
    if not characters.size or characters.min() < FIRST_PRINTABLE or characters.max() > LAST_PRINTABLE:
        return False
    return bool(np.diff(ends).max() <= ID_CHARACTERS)


def _out_of_range(rows: pa.Table) -> Mask | None:
    moments = rows["event_timestamp"].cast(pa.int64())
    low, high = (int(limit.timestamp()) * 1_000_000 for limit in (EARLIEST, LATEST))
    extent = pc.min_max(moments)
    first, last = extent["min"].as_py(), extent["max"].as_py()
    if first is None or (first >= low and last < high):
        return None
    return _mask(pc.fill_null(pc.or_(pc.less(moments, low), pc.greater_equal(moments, high)), False))


def _unknown_type(rows: pa.Table) -> Mask | None:
    return _unlike("event_type", rows, lambda kinds: pc.is_in(kinds, pa.array(EVENT_TYPES)))


def _negative(rows: pa.Table) -> Mask | None:
    below = pc.fill_null(pc.less(rows["quantity"], 0.0), False)
    if not pc.any(below).as_py():
        return None
    returned = pc.fill_null(pc.equal(rows["event_type"], "return"), False)  # a return may have any sign
    return _mask(pc.and_(below, pc.invert(returned)))


def _unknown_currency(rows: pa.Table) -> Mask | None:
    return _unlike("currency", rows, lambda names: pc.match_substring_regex(names, "^[A-Z]{3}$"))


def _unlike(column: str, rows: pa.Table, known: Callable[[pa.Array], pa.Array]) -> Mask | None:
    codes = coded(rows[column])
    unknown = ~_mask(known(codes.dictionary))
    return of_rows(unknown, codes.indices) if unknown.any() else None


def _mask(values: pa.ChunkedArray | pa.Array) -> Mask:
    flat = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    mask: Mask = flat.to_numpy(zero_copy_only=False)
    return mask


IN_RANGE: dict[str, Rule] = {"timestamp_out_of_range": ("event_timestamp", _out_of_range)}
SERVABLE: dict[str, Rule] = {"missing_user_id": _missing("user_id"), "id_not_servable": ("user_id", _unservable)}
IN_CURRENCY: dict[str, Rule] = {"unknown_currency": ("currency", _unknown_currency)}
RULES: Mapping[str, Mapping[str, Rule]] = {
    "events": SERVABLE
    | {"missing_timestamp": _missing("event_timestamp")}
    | IN_RANGE
    | {
        "missing_event_type": _missing("event_type"),
        "unknown_event_type": ("event_type", _unknown_type),
        "negative_quantity": ("quantity", _negative),
    }
    | IN_CURRENCY,
    "items": {"missing_item_id": _missing("item_id")} | IN_RANGE | IN_CURRENCY,
    "users": SERVABLE | IN_RANGE,
}
