"""Whether two tables of a run are of the same anchors, row by row."""

import pyarrow as pa

from feature_repo.events import TIMESTAMP

__all__ = ["same_rows"]

_TIMES = ("anchor_timestamp", "event_timestamp")


def same_rows(first: pa.Table, second: pa.Table) -> bool:
    """Return whether customers, items (where they are asked about) and anchors are the same, in the same order.

    A table has `user_id`, perhaps `item_id`, and the anchor as `anchor_timestamp` or `event_timestamp`. One with items
    is of other anchors than one without.
    """
    return bool(_keys(first).equals(_keys(second)))


def _keys(table: pa.Table) -> pa.Table:
    names = [name for name in ("user_id", "item_id") if name in table.column_names]
    at = next(name for name in _TIMES if name in table.column_names)
    return pa.table({name: table[name].cast(pa.string()) for name in names} | {"at": table[at].cast(TIMESTAMP)})
