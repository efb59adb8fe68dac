"""Who is asked about at an anchor date, and what the label is: one SQL query a kind of entity.

A label looks at (t, t + horizon] and does not ask when an event became known: it is the truth, not a feature. Who is
asked about rests on what was known at t.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from feature_repo.events import TIMESTAMP
from training.settings import Settings

__all__ = ["CustomerRule", "DatedRule", "ItemRule"]


class DatedRule(Protocol):
    """Anchors at dates that all customers share."""

    def at(self, connection: duckdb.DuckDBPyConnection, at: datetime, settings: Settings) -> pa.Table:
        """Return the anchors of the moment `at`: keys (text, sorted), `event_timestamp`, `label` (int8)."""

    def label_events(self) -> str | None:
        """The type of the events that labels are about; None for events of any type."""


@dataclass(frozen=True)
class CustomerRule:
    """One anchor for every customer known at t; 1 if there is an event of type `label` in (t, t + horizon], else 0.

    `label` None stands for events of any type. With `absent` the label is turned round: 1 if there is none.
    """

    label: str | None = "purchase"
    absent: bool = False

    def label_events(self) -> str | None:
        """The type of the events that labels are about; None for events of any type."""
        return self.label

    def at(self, connection: duckdb.DuckDBPyConnection, at: datetime, settings: Settings) -> pa.Table:
        """Return `user_id`, `event_timestamp` (`at`), `label`."""
        kind = _kind(self.label, settings)
        found = f"coalesce(bool_or({kind} AND event_timestamp > $at AND event_timestamp <= $until), false)"
        query = f"""
            SELECT user_id, $at::TIMESTAMPTZ AS event_timestamp,
                ({"NOT " if self.absent else ""}{found})::TINYINT AS label
            FROM events WHERE user_id NOT IN (SELECT unnest($exclude::VARCHAR[]))
            GROUP BY user_id
            HAVING bool_or({_known_by(settings)} AND event_timestamp < $at AND created_timestamp <= $at)
            ORDER BY user_id
        """
        return _table(connection, query, at, settings)


@dataclass(frozen=True)
class ItemRule:
    """One anchor for every customer known at t and every item that the customer had to do with lately.

    Lately is [t - lookback, t). The label is 1 if there is an event of type `label` about that item in
    (t, t + horizon], else 0. Items that a customer finds later are no candidates.
    """

    label: str = "purchase"

    def label_events(self) -> str | None:
        """The type of the events that labels are about."""
        return self.label

    def at(self, connection: duckdb.DuckDBPyConnection, at: datetime, settings: Settings) -> pa.Table:
        """Return `user_id`, `item_id`, `event_timestamp` (`at`), `label`."""
        query = f"""
            WITH known AS (
                SELECT user_id FROM events WHERE user_id NOT IN (SELECT unnest($exclude::VARCHAR[])) GROUP BY user_id
                HAVING bool_or({_known_by(settings)} AND event_timestamp < $at AND created_timestamp <= $at))
            SELECT user_id, item_id, $at::TIMESTAMPTZ AS event_timestamp,
                coalesce(bool_or({_kind(self.label, settings)} AND event_timestamp > $at AND event_timestamp <= $until),
                    false)::TINYINT AS label
            FROM events SEMI JOIN known USING (user_id) WHERE item_id IS NOT NULL
            GROUP BY user_id, item_id
            HAVING bool_or(event_timestamp < $at AND event_timestamp >= $since AND created_timestamp <= $at)
            ORDER BY user_id, item_id
        """
        return _table(connection, query, at, settings, since=at - timedelta(days=settings.task.lookback_days))


def _kind(label: str | None, settings: Settings) -> str:
    paid = " AND coalesce(revenue > 0, false)" if label == "purchase" and settings.task.paid_only else ""
    return "true" if label is None else f"event_type = '{label}'{paid}"


def _known_by(settings: Settings) -> str:
    return _kind("purchase" if settings.anchors.known_by == "purchase" else None, settings)


def _table(
    connection: duckdb.DuckDBPyConnection, query: str, at: datetime, settings: Settings, **more: Any
) -> pa.Table:
    asked = {"at": at, "until": at + settings.task.horizon, "exclude": list(settings.anchors.exclude)} | more
    table = connection.sql(_typed(query, asked), params=asked).to_arrow_table()
    index = table.column_names.index("event_timestamp")
    return table.set_column(index, "event_timestamp", table["event_timestamp"].cast(TIMESTAMP))


def _typed(query: str, asked: dict[str, Any]) -> str:
    for name in _moments(asked):
        query = query.replace(f"${name}::TIMESTAMPTZ", f"${name}").replace(f"${name}", f"${name}::TIMESTAMPTZ")
    return query


def _moments(asked: dict[str, Any]) -> Iterator[str]:
    return (name for name, value in asked.items() if isinstance(value, datetime))
