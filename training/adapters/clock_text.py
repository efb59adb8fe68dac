"""Moments as text where they are whole seconds: put together from the texts of days and of times of day."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["clock_texts"]

DAY_S = 86_400
FIRST_S, LAST_S = -30_610_224_000, 253_402_300_799  # years 1000 to 9999, of four digits
MOST_DAYS = 20_000
DAY_LETTERS, CLOCK_LETTERS = "S11", "S8"


def clock_texts(units: pa.Array, per_second: int, zone: str) -> pa.Array | None:
    """Return `2024-05-01 13:05:00` and `zone` of whole numbers since 1970, `per_second` of them a second.

    None where one is missing or no whole second, or where years or days are too many for this way.
    """
    extent = pc.min_max(units)
    first, last = extent["min"].as_py(), extent["max"].as_py()
    if units.null_count or first is None or first < FIRST_S * per_second or last > LAST_S * per_second:
        return None
    values = units.to_numpy()
    seconds = values // per_second
    if per_second > 1 and (seconds * per_second != values).any():
        return None
    day = seconds // DAY_S
    begin, end = first // per_second // DAY_S, last // per_second // DAY_S + 1
    return None if end - begin > MOST_DAYS else _joined(day - begin, seconds - day * DAY_S, _days(begin, end), zone)


def _joined(
    day: npt.NDArray[np.int64], second: npt.NDArray[np.int64], days: npt.NDArray[np.bytes_], zone: str
) -> pa.Array:
    letters = np.dtype([("day", DAY_LETTERS), ("clock", CLOCK_LETTERS), *([("zone", f"S{len(zone)}")] if zone else [])])
    text = np.empty(day.size, letters)
    text["day"], text["clock"] = days[day], _clock()[second]
    if zone:
        text["zone"] = zone.encode()
    ends = np.arange(day.size + 1, dtype=np.int32) * letters.itemsize
    return pa.StringArray.from_buffers(day.size, pa.py_buffer(ends), pa.py_buffer(text.view(np.uint8)))


def _days(begin: int, end: int) -> npt.NDArray[np.bytes_]:
    dates = np.arange(begin, end).astype("datetime64[D]")
    return np.array([f"{date} ".encode() for date in dates.astype(str)], DAY_LETTERS)


@cache
def _clock() -> npt.NDArray[np.bytes_]:
    """The text of every second of a day: 700 kB."""
    clock = np.arange(DAY_S).astype("datetime64[s]").astype("S19")  # 1970-01-01T13:05:00
    letters = np.ascontiguousarray(clock.view(np.uint8).reshape(DAY_S, -1)[:, -8:])
    return letters.view(CLOCK_LETTERS).reshape(-1)
