"""Cells to moments in UTC, for sources that write time in any usual way."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, time
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.errors import SettingsError
from feature_repo.events import TIMESTAMP
from training.adapters.readings import Reading, read_text, unread
from training.adapters.text_letters import text_letters

__all__ = ["is_readable_time", "read_time", "time_format", "zone_named"]

NAIVE = pa.timestamp("us")
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
NOON_US = 12 * 3_600_000_000
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799  # years 1 to 9999: beyond them nothing is a moment
# 1990 to 2099 in seconds lies below the first limit, in milliseconds below the second, in microseconds below the third.
UNIX_LIMITS = ((10**11, "s"), (10**14, "ms"), (10**17, "us"), (2**63, "ns"))
UNIX_DIGITS = r"^([0-9]{9,10}|[0-9]{12,13}|[0-9]{15,16}|[0-9]{18,19})(\.[0-9]+)?$"
ZONED = r":[0-9.]+ ?(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
DAY_LENGTHS = (8, 10)
AT_UTC, SHORTEST_AT_UTC = b" UTC", b"2019-10-01 00:00 UTC"
COLON = SHORTEST_AT_UTC.index(b":")
DASHES_OF_A_DAY = 2
FEW = 64
NO_TEXT = None  # a typed null of pyarrow would import pandas


def zone_named(name: str, file: Path) -> str:
    """Return `name` if it is a time zone; `file` is that of the settings, for the message.

    Raises:
        SettingsError: it is not known.
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
        raise SettingsError(
            f"[data] timezone is not known: got {name!r}; expected a name such as UTC or Europe/Berlin. "
            f"Change it in {file}."
        ) from problem
    return name


def time_format(pattern: str | None, file: Path) -> str | None:
    """Return `pattern` if it tells a day, as for strptime: `%d/%m/%Y %H:%M`; `file` is that of the settings.

    Raises:
        SettingsError: it tells none, or not one that can be read back.
    """
    if pattern is None:
        return None
    moment = datetime(2023, 11, 30, 21, 45, tzinfo=UTC)
    try:
        told = datetime.strptime(moment.strftime(pattern), pattern)
    except ValueError:
        told = None
    if told is None or told.date() != moment.date():
        raise SettingsError(
            f"[data] time_format does not tell the day: got {pattern!r}; expected directives of strptime such as "
            f"%d/%m/%Y %H:%M. Change it in {file}, or leave it out for ISO 8601 and Unix time."
        )
    return pattern


def is_readable_time(kind: pa.DataType) -> bool:
    """Return whether a column of this type can hold times: text, timestamps, dates or Unix time as a number."""
    test = pa.types
    numeric = test.is_integer(kind) or test.is_floating(kind)
    return test.is_string(kind) or test.is_timestamp(kind) or test.is_date(kind) or numeric


def read_time(column: pa.Array, zone: str, pattern: str | None = None) -> Reading:
    """Read a column of text, timestamps, dates or numbers as UTC microseconds.

    Text is ISO 8601 (`2024-05-01`, `2024-05-01 13:05`, with or without seconds and zone, ` UTC` at the end too), Unix
    time, or what `pattern` says. Unix time is in seconds, milliseconds, microseconds or nanoseconds, told apart by
    its size: from 1990 to 2099 no number is a moment in two of them. What has no zone is in `zone`: of a time that the
    clock showed twice the first is meant, and one that it skipped is moved to the end of the gap. A day without a
    time is put at 12:00, so that what happens on a day is not known when it begins. Of a number with a `pattern` the
    digits are read.
    """
    if pattern and pa.types.is_integer(column.type):  # days such as 20240501
        column = column.cast(pa.string())
    kind = column.type
    if pa.types.is_string(kind):
        text = read_text(column)
        moments = _of_pattern(text, zone, pattern) if pattern else _of_text(text, zone)
        return moments, unread(text, moments)
    if pa.types.is_integer(kind):
        moments = _unix(_signed(column)).cast(TIMESTAMP)
    elif pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
        moments = _unix_fraction(column.cast(pa.float64())).cast(TIMESTAMP)
    elif pa.types.is_date(kind):
        moments = _in_zone(_noon(column), zone)
    else:
        moments = _microseconds(column.cast(pa.int64()), PER_SECOND[kind.unit])
        moments = moments.cast(TIMESTAMP) if kind.tz else _in_zone(moments.cast(NAIVE), zone)
    return moments, unread(column, moments)


def _of_pattern(text: pa.Array, zone: str, pattern: str) -> pa.Array:
    if any(directive in pattern for directive in ("%f", "%z", "%Z")):  # Arrow knows neither fractions nor zones
        return _by_value(text, zone, pattern)
    told = pc.strptime(pc.utf8_trim_whitespace(text), format=pattern, unit="us", error_is_null=True)
    return _in_zone(told if _tells_time(pattern) else pc.add(told.cast(pa.int64()), NOON_US).cast(NAIVE), zone)


def _tells_time(pattern: str) -> bool:
    return any(directive in pattern for directive in ("%H", "%I", "%T", "%R", "%c", "%X"))


def _of_text(text: pa.Array, zone: str) -> pa.Array:
    """Read text by its shape, a whole column at a time; what fits none is looked at by itself."""
    if (stripped := _without_utc(text)) is not None:
        with suppress(pa.ArrowInvalid):  # one is no time, or has blanks around it: look at each
            return stripped.cast(NAIVE).cast(TIMESTAMP)
    text = pc.utf8_trim_whitespace(text)
    if text.null_count == 0 and pc.all(pc.match_substring(text, ":")).as_py():
        return _of_clock_times(text, zone)  # what most sources write
    unix = pc.match_substring_regex(text, UNIX_DIGITS)
    day = pc.and_(pc.is_in(pc.utf8_length(text), pa.array(DAY_LENGTHS, pa.int32())), pc.invert(unix))
    shapes: list[tuple[pa.Array, Callable[[pa.Array], pa.Array]]] = [
        (day, partial(_by_value, zone=zone, pattern=None)),
        (unix, _unix_text),
        (pc.invert(pc.or_(day, unix)), partial(_of_moments, zone=zone)),
    ]
    moments = pa.nulls(len(text), TIMESTAMP)
    for shape, read in shapes:
        if text.null_count == 0 and pc.all(shape).as_py():
            return read(text)
        if pc.any(shape).as_py():
            moments = pc.coalesce(moments, read(pc.if_else(shape, text, NO_TEXT)))
    return moments


def _without_utc(text: pa.Array) -> pa.Array | None:
    """The cells without ` UTC` if all are of one width, tell a time and end so, as a program writes them; else None."""
    letters = text_letters(text)
    if letters is None or letters.shape[1] < len(SHORTEST_AT_UTC):
        return None
    if (letters[:, -len(AT_UTC) :] != np.frombuffer(AT_UTC, np.uint8)).any() or (letters[:, COLON] != ord(":")).any():
        return None
    kept = np.ascontiguousarray(letters[:, : -len(AT_UTC)])
    ends = np.arange(len(text) + 1, dtype=np.int32) * kept.shape[1]
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(ends), pa.py_buffer(kept))


def _unix_text(text: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring(text, ".")).as_py():
        return _unix_fraction(text.cast(pa.float64())).cast(TIMESTAMP)
    return _unix(_signed(text.cast(pa.uint64()))).cast(TIMESTAMP)


def _of_clock_times(text: pa.Array, zone: str) -> pa.Array:
    if pc.all(pc.ends_with(text, " UTC")).as_py():
        with suppress(pa.ArrowInvalid):  # one is no time, or names a second zone: look at each
            return pc.utf8_slice_codeunits(text, 0, -4).cast(NAIVE).cast(TIMESTAMP)
    return _of_moments(text, zone)


def _of_moments(text: pa.Array, zone: str) -> pa.Array:
    named = pc.ends_with(text, " UTC")
    if pc.any(named).as_py():
        text = pc.if_else(named, pc.binary_join_element_wise(pc.utf8_slice_codeunits(text, 0, -4), "Z", ""), text)
    zoned = _zoned(text)
    if pc.all(zoned).as_py() and text.null_count == 0:
        return _cast(text, TIMESTAMP, zone)
    if not pc.any(zoned).as_py():
        return _cast(text, NAIVE, zone)
    aware = _cast(pc.if_else(zoned, text, NO_TEXT), TIMESTAMP, zone)
    naive = _cast(pc.if_else(zoned, NO_TEXT, text), NAIVE, zone)
    return pc.coalesce(aware, naive)


def _zoned(text: pa.Array) -> pa.Array:
    """bool[n]: a zone is written at the end; its signs are looked for before the pattern, which costs more."""
    at_zero = pc.ends_with(text, "Z")
    if pc.all(at_zero).as_py():
        return at_zero
    signs = pc.or_(pc.match_substring(text, "+"), pc.greater(pc.count_substring(text, "-"), DASHES_OF_A_DAY))
    return pc.match_substring_regex(text, ZONED) if pc.any(signs).as_py() else at_zero


def _cast(text: pa.Array, kind: pa.DataType, zone: str) -> pa.Array:
    """Read text of one kind; halves are tried until what Arrow cannot read is by itself, and left to Python."""
    try:
        moments = text.cast(kind)
        return moments if kind.tz else _in_zone(moments, zone)
    except pa.ArrowInvalid:
        if len(text) <= FEW:
            return _by_value(text, zone, None)
        half = len(text) // 2
        parts = [_cast(part, kind, zone) for part in (text.slice(0, half), text.slice(half))]
        return pa.concat_arrays(parts)


def _by_value(text: pa.Array, zone: str, pattern: str | None) -> pa.Array:
    encoded = text.dictionary_encode()
    parsed = [None if one is None else _parsed(one.strip(), pattern) for one in encoded.dictionary.to_pylist()]
    aware = pa.array([one if one and one.tzinfo else None for one in parsed], TIMESTAMP)
    naive = pa.array([one if one and not one.tzinfo else None for one in parsed], NAIVE)
    return pc.coalesce(aware, _in_zone(naive, zone)).take(encoded.indices)


def _parsed(text: str, pattern: str | None) -> datetime | None:
    try:
        if pattern:
            return _with_pattern(text, pattern)
        if len(text) in DAY_LENGTHS:
            return datetime.combine(date.fromisoformat(text), time(12))
        if text.endswith(" UTC"):
            text = f"{text[:-4]}+00:00"
        return datetime.fromisoformat(text).astimezone(UTC) if _has_zone(text) else datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None


def _with_pattern(text: str, pattern: str) -> datetime:
    told = datetime.strptime(text, pattern)
    if not _tells_time(pattern):
        return told.replace(hour=12)
    return told.astimezone(UTC) if told.tzinfo else told


def _has_zone(text: str) -> bool:
    return text.endswith("Z") or "+" in text or "-" in text[11:]


def _signed(numbers: pa.Array) -> pa.Array:
    """Whole numbers as int64; beyond it, where nothing is a moment, the largest stands for all."""
    if numbers.type == pa.uint64():
        numbers = pc.min_element_wise(numbers, pa.scalar(2**63 - 1, pa.uint64()), skip_nulls=False)
    return numbers.cast(pa.int64())


def _unix(numbers: pa.Array) -> pa.Array:
    """Unix time of any unit to microseconds, by the size of each number."""
    values = numbers.fill_null(0).to_numpy(zero_copy_only=False)
    size = np.abs(values)
    limits = [np.abs(values) < limit if limit < 2**63 else np.full(len(values), True) for limit, _ in UNIX_LIMITS]
    if size.size and limits[0].all():
        return _microseconds(numbers, 1)
    converted = np.select(limits, [_whole_us(values, PER_SECOND[unit]) for _, unit in UNIX_LIMITS])
    return pa.array(converted, pa.int64(), mask=pc.is_null(numbers).to_numpy(zero_copy_only=False))


def _whole_us(values: npt.NDArray[np.int64], per_second: int) -> npt.NDArray[np.int64]:
    if per_second > 10**6:
        return values // (per_second // 10**6)
    factor = 10**6 // per_second
    return np.clip(values, -(2**62) // factor, 2**62 // factor) * factor


def _unix_fraction(numbers: pa.Array) -> pa.Array:
    size = pc.abs(numbers)
    micro = pa.nulls(len(numbers), pa.float64())
    for limit, unit in UNIX_LIMITS:
        micro = pc.coalesce(micro, pc.if_else(pc.less(size, float(limit)), _scaled(numbers, unit), pa.scalar(None)))
    return pc.round(micro).cast(pa.int64(), safe=False)


def _scaled(numbers: pa.Array, unit: str) -> pa.Array:
    return pc.multiply(numbers, 10**6 / PER_SECOND[unit])


def _noon(days: pa.Array) -> pa.Array:
    seconds = days.cast(pa.date32()).cast(pa.timestamp("s")).cast(pa.int64())
    return pc.add(_microseconds(seconds, 1), NOON_US).cast(NAIVE)


def _microseconds(units: pa.Array, per_second: int) -> pa.Array:
    if per_second > 10**6:
        return pc.divide(units, per_second // 10**6)
    # Beyond years 1 to 9999 microseconds would overflow; at the edge they are as far out of range as before.
    extent = pc.min_max(units)
    first, last = extent["min"].as_py(), extent["max"].as_py()
    if first is not None and first >= FIRST_SECOND * per_second and last <= LAST_SECOND * per_second:
        return pc.multiply(units, 10**6 // per_second)
    within = pc.max_element_wise(units, FIRST_SECOND * per_second, skip_nulls=False)
    within = pc.min_element_wise(within, LAST_SECOND * per_second, skip_nulls=False)
    return pc.multiply(within, 10**6 // per_second)


def _in_zone(naive: pa.Array, zone: str) -> pa.Array:
    if zone == "UTC":
        return naive.cast(TIMESTAMP)
    local = pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="latest")
    return local.cast(TIMESTAMP)
