"""What the settings say about columns: checked before anything is read."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from feature_repo.errors import SettingsError, SourceDataError
from feature_repo.events import EVENT_TYPES
from training.adapters.contract import ITEM_ATTRIBUTES, NUMBER_COLUMNS, TEXT_COLUMNS, USER_ATTRIBUTES, DataSettings
from training.adapters.readings import Reading
from training.adapters.source_times import is_readable_time, read_time, time_format, zone_named

__all__ = ["check_mapping", "check_type", "constants_of", "read_moment"]

REQUIRED = ("user_id", "event_timestamp")
CANONICAL = ("event_timestamp", *TEXT_COLUMNS, *NUMBER_COLUMNS)
BESIDE = {
    "items": ("item_id", ("item_id", "event_timestamp", *ITEM_ATTRIBUTES)),
    "users": ("user_id", ("user_id", "event_timestamp", *USER_ATTRIBUTES)),
}
"""Of a file about items or customers: its key, and the fields that it may give."""


def check_mapping(
    settings: DataSettings,
    items: Mapping[str, str] | None = None,
    users: Mapping[str, str] | None = None,
) -> None:
    """Refuse a mapping that names what does not exist, gives a field twice, or lacks one; `items` and `users` too.

    Raises:
        SettingsError: with the names.
    """
    columns, constants, file = settings.columns, settings.constants, settings.file
    _check_columns(f"[data.columns] in {file}", columns, CANONICAL, REQUIRED)
    _check_columns(f"[data.constants] in {file}", dict.fromkeys(constants, ""), CANONICAL, (), shared=True)
    both = sorted({*columns} & {*constants})
    if both:
        given = f"gives {', '.join(both)} twice, as a column and as a constant"
        _refuse(given, "one of the two", f"[data.columns] or [data.constants] in {file}")
    _check_constants(settings)
    _check_event_types(settings)
    for about, told in (
        ("items", items or (settings.items.columns if settings.items else None)),
        ("users", users or (settings.users.columns if settings.users else None)),
    ):
        if told is not None:
            key, fields = BESIDE[about]
            _check_columns(f"[data.{about}] in {file}", told, fields, (key,))
    zone_named(settings.timezone, file)
    time_format(settings.time_format, file)


def check_type(source: str, name: str, column: str, kind: pa.DataType) -> None:
    """Refuse a column whose type cannot hold the canonical field `name`; one without any value can hold all.

    Raises:
        SourceDataError: with the type that was found and what can be read.
    """
    test = pa.types
    text, number = test.is_string(kind), test.is_integer(kind) or test.is_floating(kind) or test.is_decimal(kind)
    if name == "event_timestamp":
        fits, expected = is_readable_time(kind), "timestamps, dates, ISO 8601 text or Unix time"
    elif name in NUMBER_COLUMNS:
        fits, expected = text or number, "numbers, or text that holds numbers"
    elif name == "event_type":
        fits, expected = text or test.is_integer(kind), "text or whole numbers"
    else:
        fits, expected = text or number, "text or whole numbers"
    if not (fits or test.is_null(kind)):
        raise SourceDataError(
            f"Column {column} of {source} is of a wrong type for {name}: got {kind}; expected {expected}. "
            "Convert the column, or map another one."
        )


def constants_of(settings: DataSettings) -> dict[str, str]:
    """Return the values that hold for every event: a type is `purchase` where nothing tells it."""
    constants = dict(settings.constants)
    if "event_type" not in settings.columns:
        constants.setdefault("event_type", "purchase")
    return constants


def read_moment(column: pa.Array, settings: DataSettings) -> Reading:
    """Read a column of times as the settings say."""
    return read_time(column, settings.timezone, settings.time_format)


def _check_columns(
    where: str, columns: Mapping[str, str], fields: tuple[str, ...], required: tuple[str, ...], shared: bool = False
) -> None:
    unknown = sorted({*columns} - set(fields))
    if unknown:
        _refuse(f"names fields that do not exist: got {', '.join(unknown)}", f"any of {', '.join(fields)}", where)
    missing = [name for name in required if name not in columns]
    if missing:
        _refuse(f"lacks {', '.join(missing)}", f"a column for {' and one for '.join(required)}", where)
    sources = list(columns.values())
    twice = sorted({source for source in sources if sources.count(source) > 1})
    if twice and not shared:
        names = [name for name, source in columns.items() if source in twice]
        _refuse(
            f"gives one column to several fields: got {', '.join(names)} from {', '.join(twice)}", "one each", where
        )


def _check_constants(settings: DataSettings) -> None:
    where = f"[data.constants] in {settings.file}"
    kind = settings.constants.get("event_type", "purchase")
    if kind not in EVENT_TYPES:
        _refuse(f"has the constant event_type = {kind!r}", f"one of {', '.join(EVENT_TYPES)}", where)
    for name in NUMBER_COLUMNS:
        try:
            number = float(settings.constants.get(name, "0"))
        except ValueError:
            number = float("nan")
        if not np.isfinite(number):
            _refuse(f"has the constant {name} = {settings.constants[name]!r}", "a number", where)


def _check_event_types(settings: DataSettings) -> None:
    where = f"[data.event_types] in {settings.file}"
    unknown = sorted({ours for ours in settings.event_types.values() if ours not in EVENT_TYPES})
    if unknown:
        _refuse(
            f"translates to types of events that do not exist: got {', '.join(unknown)}",
            f"any of {', '.join(EVENT_TYPES)}",
            where,
        )
    if settings.event_types and "event_type" not in settings.columns:
        _refuse("translates types of events, but no column holds them", "event_type", where)
    spelt: dict[str, str] = {}
    for word, ours in settings.event_types.items():
        other = spelt.setdefault(word.strip().casefold(), ours)
        if other != ours:
            _refuse(
                f"translates {word!r} twice, where only capitals differ: got {other} and {ours}",
                "one type for a word however it is spelt",
                where,
            )


def _refuse(problem: str, expected: str, where: str) -> None:
    raise SettingsError(f"The column mapping {problem}; expected {expected}. Change {where}.")
