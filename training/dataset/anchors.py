"""Anchors: the moments at which a customer would have been scored."""

from datetime import datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from feature_repo.errors import SettingsError, SourceDataError, SplitError
from training.dataset.anchor_rules import CustomerRule
from training.settings import WEEKDAYS, Anchors, Settings, midnight

__all__ = ["anchor_dates", "customers_at", "open_log", "require_log_covers", "some_customers"]


_QUIET = timedelta(days=2)


def anchor_dates(rule: Anchors, until: datetime) -> list[datetime]:
    """Every `rule.every` at 00:00 of its time zone from `rule.first` to `until`, both included; in UTC.

    >>> from datetime import UTC, date
    >>> days = anchor_dates(Anchors(every="monday", first=date(2000, 12, 4)), datetime(2000, 12, 20, tzinfo=UTC))
    >>> [day.day for day in days]
    [4, 11, 18]
    """
    if rule.first is None or rule.every is None:
        raise SettingsError("The anchors have no `every` or no `first`; expected both. Set them in [anchors].")
    every = 1 if rule.every == "day" else 7
    ahead = 0 if rule.every == "day" else (WEEKDAYS.index(rule.every) - rule.first.weekday()) % 7
    first = rule.first + timedelta(days=ahead)
    last = until.astimezone(ZoneInfo(rule.timezone)).date()
    days = (first + timedelta(days=every * step) for step in range((last - first) // timedelta(days=every) + 1))
    return [at for at in (midnight(day, rule.timezone) for day in days) if at <= until]


def open_log(log: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection with the view `events` over the canonical log below `log`, in UTC.

    Raises:
        SourceDataError: there is no such log, or it cannot be read.
    """
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    try:
        connection.execute(f"CREATE VIEW events AS FROM read_parquet('{log}/events/*.parquet', union_by_name = true)")
    except duckdb.Error as problem:
        connection.close()
        raise SourceDataError(
            f"No event log below {log}: {problem}. Expected events/*.parquet. Run `intent ingest` first."
        ) from problem
    return connection


def require_log_covers(log: Path, settings: Settings, event_type: str | None = "purchase") -> None:
    """Refuse a `log_end` that the log does not reach: every label after its last event would be a wrong 0.

    A shop may be quiet: the log may end before `log_end` by as long as it was ever silent before, or by two days; or,
    with borders closer than that, by a tenth of what it covers. Only events of `event_type` count (None: all).

    Raises:
        SplitError: the log ends earlier; the message says when.
    """
    of_type = "" if event_type is None else f"WHERE event_type = '{event_type}'"
    query = f"""
        SELECT min(event_timestamp), max(event_timestamp), coalesce(max(event_timestamp - before), INTERVAL 0 DAYS)
        FROM (SELECT event_timestamp, lag(event_timestamp) OVER (ORDER BY event_timestamp) AS before
            FROM (SELECT DISTINCT event_timestamp FROM events {of_type}))
    """
    with open_log(log) as connection:
        ((begin, last, silence),) = connection.execute(query).fetchall()
    end, what = settings.log_end, event_type or "event"
    if last is not None and end - last > max(silence, min(_QUIET, (end - begin) / 10)):
        raise SplitError(
            f"log_end is {_told(end, settings)}, but the log's last {what} is of {last:%Y-%m-%d %H:%M} UTC, and it was "
            f"never silent for longer than {silence / timedelta(days=1):.1f} days before; expected a log that reaches "
            f"log_end. Set log_end to the day after its last {what}, or ingest the rest."
        )


def _told(at: datetime, settings: Settings) -> str:
    """As the settings say it: a day, or a moment of the anchors' time zone."""
    local = at.astimezone(ZoneInfo(settings.anchors.timezone))
    return f"{local:%Y-%m-%d}" if local == datetime.combine(local, time(), local.tzinfo) else f"{local:%Y-%m-%d %H:%M}"


def customers_at(connection: duckdb.DuckDBPyConnection, at: datetime, settings: Settings) -> pa.Table:
    """Return one anchor for every customer who bought before `at` and of whom the shop knew that at `at`.

    Columns: `user_id` (text, sorted), `event_timestamp` (`at`), `label` (int8): 1 if the customer has a purchase in
    (at, at + horizon], else 0. A label does not ask when the purchase became known: it is the truth, not a feature.
    """
    return CustomerRule().at(connection, at, settings)


def some_customers(log: Path, count: int, seed: int) -> list[str]:
    """Return `count` customers of the log, the same ones for the same seed."""
    query = """
        SELECT user_id FROM (SELECT DISTINCT user_id FROM events)
        ORDER BY hash(user_id || ?::VARCHAR), user_id LIMIT ?
    """
    with open_log(log) as connection:
        return [user_id for (user_id,) in connection.execute(query, [str(seed), count]).fetchall()]
