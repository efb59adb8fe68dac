"""Cells to moments in UTC, for sources that write time in any usual way."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.errors import SettingsError
from feature_repo.events import TIMESTAMP
from training.adapters.readings import Reading, read_text, unread

__all__ = ["is_readable_time", "read_time", "zone_named"]

NAIVE = pa.timestamp("us")
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
NOON_US = 12 * 3_600_000_000
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799  # years 1 to 9999: beyond them nothing is a moment
UNIX_DIGITS = (9, 10)  # 1990 to 2099 in seconds


def zone_named(name: str) -> str:
    """Return `name` if it is a time zone.

    Raises:
        SettingsError: it is not known.
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
        raise SettingsError(
            f"[data] timezone is not known: got {name!r}; expected a name such as UTC or Europe/Berlin."
        ) from problem
    return name


def is_readable_time(kind: pa.DataType) -> bool:
    """Return whether a column of this type can hold times: text, timestamps, dates or whole (Unix) seconds."""
    test = pa.types
    return test.is_string(kind) or test.is_timestamp(kind) or test.is_date(kind) or test.is_integer(kind)


def read_time(column: pa.Array, zone: str) -> Reading:
    """Read a column of text, timestamps, dates or whole numbers as UTC microseconds.

    Text is ISO 8601 (`2024-05-01`, `2024-05-01 13:05`, with or without seconds and zone, ` UTC` at the end too) or
    Unix seconds; whole numbers are Unix seconds. What has no zone is in `zone`: of a time that the clock showed
    twice the first is meant, and one that it skipped is moved to the end of the gap. A day without a time is put
    at 12:00, so that what happens on a day is not known when it begins.
    """
    kind = column.type
    if pa.types.is_string(kind):
        return _read_text(read_text(column), zone)
    if pa.types.is_integer(kind):
        moments = _microseconds(column.cast(pa.int64()), 1).cast(TIMESTAMP)
    elif pa.types.is_date(kind):
        days = column.cast(pa.date32()).cast(pa.timestamp("s"))
        moments = _in_zone(pc.add(_microseconds(days.cast(pa.int64()), 1), NOON_US).cast(NAIVE), zone)
    else:
        moments = _microseconds(column.cast(pa.int64()), PER_SECOND[kind.unit])
        moments = moments.cast(TIMESTAMP) if kind.tz else _in_zone(moments.cast(NAIVE), zone)
    return moments, unread(column, moments)


def _read_text(text: pa.Array, zone: str) -> Reading:
    encoded = text.dictionary_encode()
    parsed = [_parsed(value.strip()) for value in encoded.dictionary.to_pylist()]
    aware = pa.array([one if one and one.tzinfo else None for one in parsed], TIMESTAMP)
    naive = pa.array([one if one and not one.tzinfo else None for one in parsed], NAIVE)
    moments = pc.coalesce(aware, _in_zone(naive, zone)).take(encoded.indices)
    return moments, unread(text, moments)


def _parsed(text: str) -> datetime | None:
    if text.isdigit() and len(text) in UNIX_DIGITS:
        return datetime.fromtimestamp(int(text), tz=UTC)
    if text.endswith(" UTC"):
        text = f"{text[:-4]}+00:00"
    try:
        if len(text) in (8, 10):
            return datetime.combine(date.fromisoformat(text), time(12))
        return datetime.fromisoformat(text).astimezone(UTC) if _has_zone(text) else datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None


def _has_zone(text: str) -> bool:
    return text.endswith("Z") or "+" in text or "-" in text[11:]


def _microseconds(units: pa.Array, per_second: int) -> pa.Array:
    if per_second > 10**6:
        return pc.divide(units, per_second // 10**6)
    # Beyond years 1 to 9999 microseconds would overflow; at the edge they are as far out of range as before.
    within = pc.max_element_wise(units, FIRST_SECOND * per_second, skip_nulls=False)
    within = pc.min_element_wise(within, LAST_SECOND * per_second, skip_nulls=False)
    return pc.multiply(within, 10**6 // per_second)


def _in_zone(naive: pa.Array, zone: str) -> pa.Array:
    if zone == "UTC":
        return naive.cast(TIMESTAMP)
    local = pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="latest")
    return local.cast(TIMESTAMP)
