"""Anchors: the moments at which a customer would have been scored."""

from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from feature_repo.errors import SourceDataError, SplitError
from training.settings import WEEKDAYS, Anchors, Settings, midnight

__all__ = ["anchor_dates", "customers_at", "open_log", "require_log_covers", "some_customers"]


_QUIET = timedelta(days=2)


def anchor_dates(rule: Anchors, until: datetime) -> list[datetime]:
    """Every `rule.every` at 00:00 UTC from `rule.first` to `until`, both included.

    >>> from datetime import UTC, date
    >>> days = anchor_dates(Anchors(every="monday", first=date(2000, 12, 4)), datetime(2000, 12, 20, tzinfo=UTC))
    >>> [day.day for day in days]
    [4, 11, 18]
    """
    first = midnight(rule.first)
    first += timedelta(days=(WEEKDAYS.index(rule.every) - first.weekday()) % 7)
    weeks = (until - first) // timedelta(days=7)
    return [first + timedelta(days=7 * week) for week in range(weeks + 1)]


def open_log(log: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection with the view `events` over the canonical log below `log`, in UTC.

    Raises:
        SourceDataError: there is no such log, or it cannot be read.
    """
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    try:
        connection.execute(f"CREATE VIEW events AS FROM read_parquet('{log}/events/*.parquet')")
    except duckdb.Error as problem:
        connection.close()
        raise SourceDataError(
            f"No event log below {log}: {problem}. Expected events/*.parquet. Run `intent ingest` first."
        ) from problem
    return connection


def require_log_covers(log: Path, settings: Settings) -> None:
    """Refuse a `log_end` that the log does not reach: every label after its last event would be a wrong 0.

    A shop may be quiet: the log may end before `log_end` by as long as it was ever silent before, or by two days.

    Raises:
        SplitError: the log ends earlier; the message says when.
    """
    query = """
        SELECT max(event_timestamp), coalesce(max(event_timestamp - before), INTERVAL 0 DAYS)
        FROM (SELECT event_timestamp, lag(event_timestamp) OVER (ORDER BY event_timestamp) AS before
            FROM (SELECT DISTINCT event_timestamp FROM events WHERE event_type = 'purchase'))
    """
    with open_log(log) as connection:
        ((last, silence),) = connection.execute(query).fetchall()
    end = midnight(settings.splits.log_end)
    if last is not None and end - last > max(silence, _QUIET):
        raise SplitError(
            f"log_end is {end:%Y-%m-%d}, but the log's last purchase is of {last:%Y-%m-%d %H:%M} UTC, and it was never "
            f"silent for longer than {silence / timedelta(days=1):.1f} days before; expected a log that reaches "
            "log_end. Set log_end to the day after its last purchase, or ingest the rest."
        )


def customers_at(connection: duckdb.DuckDBPyConnection, at: datetime, settings: Settings) -> pa.Table:
    """Return one anchor for every customer who bought before `at` and of whom the shop knew that at `at`.

    Columns: `user_id` (text, sorted), `event_timestamp` (`at`), `label` (int8): 1 if the customer has a purchase in
    (at, at + horizon], else 0. A label does not ask when the purchase became known: it is the truth, not a feature.
    """
    query = """
        SELECT user_id, ?::TIMESTAMPTZ AS event_timestamp,
            coalesce(bool_or(event_timestamp > ?::TIMESTAMPTZ AND event_timestamp <= ?::TIMESTAMPTZ), false)::TINYINT
                AS label
        FROM events WHERE event_type = 'purchase'
        GROUP BY user_id
        HAVING bool_or(event_timestamp < ?::TIMESTAMPTZ AND created_timestamp <= ?::TIMESTAMPTZ)
        ORDER BY user_id
    """
    end = at + settings.task.horizon
    table = connection.sql(query, params=[at, at, end, at, at]).to_arrow_table()
    return table.set_column(1, "event_timestamp", table["event_timestamp"].cast(pa.timestamp("us", tz="UTC")))


def some_customers(log: Path, count: int, seed: int) -> list[str]:
    """Return `count` customers of the log, the same ones for the same seed."""
    query = """
        SELECT user_id FROM (SELECT DISTINCT user_id FROM events)
        ORDER BY hash(user_id || ?::VARCHAR), user_id LIMIT ?
    """
    with open_log(log) as connection:
        return [user_id for (user_id,) in connection.execute(query, [str(seed), count]).fetchall()]
