"""Entity keys as bytes that are the same from wherever they are written or asked for, and readable in redis-cli.

A key is its join keys in the order of their names, each `name:type=value`: `user_id:s=alice`, and for composite keys
`item_id:i2=17;user_id:s=alice`, where every value but the last has its length in bytes. Whole numbers of any width are
one type, so that an Int32 finds what an Int64 wrote. A view without entities has the key `*`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import numpy as np

from intent_stores.errors import OnlineKeyError

_TEXT = frozenset([str])

ENTITYLESS = b"*"
"""The key of a view without entities."""


def entity_keys(join_keys: Sequence[str], columns: Mapping[str, Any]) -> list[bytes]:
    """Return the canonical bytes of n keys.

    Arguments:
        join_keys: names of the view's join keys, in any order; none for a view without entities (one key).
        columns: name → values (list or array of text, bytes, whole numbers or datetime64), all of one length; columns
            that are no join keys are ignored. A column of length 1 holds for all rows.

    Raises:
        OnlineKeyError: a join key is missing, null, of a type that cannot be a key, or of another length.
    """
    names = sorted(join_keys)
    if not names:
        return [ENTITYLESS]
    if len(names) == 1 and names[0] in columns:
        return _parts(names[0], columns[names[0]], last=True)
    missing = [name for name in names if name not in columns]
    if missing:
        raise OnlineKeyError(f"Join keys {missing} are missing; received {sorted(columns)}. Give a column for each.")
    parts = [_parts(name, columns[name], last=name == names[-1]) for name in names]
    count = max(map(len, parts))
    uneven = [name for name, part in zip(names, parts, strict=True) if len(part) not in (1, count)]
    if uneven:
        raise OnlineKeyError(f"Join keys {uneven} have fewer values than the others ({count}); expected as many, or 1.")
    return [b";".join(row) for row in zip(*(p * count if len(p) == 1 else p for p in parts), strict=True)]


@lru_cache(4096)
def quoted(name: str) -> str:
    """Return a name without any character that has a meaning in keys, patterns or tables."""
    return quote(name, safe="")


def _parts(name: str, values: Any, last: bool) -> list[bytes]:
    letter, cells = _typed(name, values)
    head = _head(name, letter, last)
    if last:
        return [head + cell for cell in cells]
    return [head + b"%d=" % len(cell) + cell for cell in cells]


@lru_cache(1024)
def _head(name: str, letter: str, last: bool) -> bytes:
    return f"{quoted(name)}:{letter}{'=' if last else ''}".encode()


def _typed(name: str, values: Any) -> tuple[str, list[bytes]]:
    listed = values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind != "M" else values
    try:
        if isinstance(values, np.ndarray) and values.dtype.kind == "M":
            if np.isnat(values).any():
                raise OnlineKeyError(f"Join key {name!r} holds NaT; expected a time in each row.")
            micros = values.astype("datetime64[us]").view(np.int64).tolist()
            return "t", [b"%d" % cell for cell in micros]
        kinds = set(map(type, listed))
        if kinds <= _TEXT:
            return "s", [cell.encode() for cell in listed]
        if kinds <= {bytes}:
            return "b", list(listed)
        if bool not in kinds and all(issubclass(kind, int | np.integer) for kind in kinds):  # True is not the key 1
            return "i", [b"%d" % cell for cell in listed]
    except UnicodeEncodeError as error:
        raise OnlineKeyError(f"Join key {name!r} holds text that is not Unicode: {error}.") from error
    found = sorted(kind.__name__ for kind in kinds)
    raise OnlineKeyError(
        f"Join key {name!r} holds {found}; expected only text, only bytes, only whole numbers, or datetime64."
    )
