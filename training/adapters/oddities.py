"""What is odd in a log, found by rules that hold for any shop; nothing here knows a data set.

Each rule is a function of the staged log that returns one sentence, or None. No sentence names a customer.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from training.adapters.contract import USER_ATTRIBUTES

__all__ = ["odd_facts"]

DAY_US = 86_400_000_000
AROUND_DAYS = 14  # a day is compared with the two weeks before and after it: seasons drift, weekdays even out
THIN, HEAVY = 0.25, 4.0
EXTREME = 50.0


def odd_facts(connection: Any) -> list[str]:
    """Return what is odd in the table `staged`, one sentence each, in the order of the rules."""
    facts = [rule(connection) for rule in RULES]
    return [fact for fact in facts if fact]


def _thin_days(connection: Any) -> str | None:
    return _unusual_days(connection, "thins out", lambda lines, usual: lines < THIN * usual)


def _heavy_days(connection: Any) -> str | None:
    return _unusual_days(connection, "swells", lambda lines, usual: lines > HEAVY * usual)


def _unusual_days(connection: Any, verb: str, unusual: Callable[[Any, Any], npt.NDArray[np.bool_]]) -> str | None:
    days, lines = _daily(connection)
    usual = np.array([np.median(lines[max(0, k - AROUND_DAYS) : k + AROUND_DAYS + 1]) for k in range(len(lines))])
    found = np.flatnonzero(unusual(lines, usual))
    if not found.size:
        return None
    runs = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1)
    told = [
        f"{_span(days[run[0]], days[run[-1]])} ({lines[run].sum() / max(usual[run].sum(), 1.0):.0%})" for run in runs
    ]
    return f"The log {verb}, against the median of the four weeks around, on {_listed(told)}."


def _daily(connection: Any) -> tuple[list[date], npt.NDArray[np.float64]]:
    rows = connection.execute(
        f"SELECT moment // {DAY_US} AS day, count(*) FROM staged GROUP BY day ORDER BY day"
    ).fetchall()
    first, last = rows[0][0], rows[-1][0]
    lines = np.zeros(last - first + 1)
    for day, count in rows:
        lines[day - first] = count
    start = datetime.fromtimestamp(first * DAY_US / 1e6, tz=UTC).date()
    return [start + timedelta(days=k) for k in range(len(lines))], lines


def _time_of_day(connection: Any) -> str | None:
    moments = connection.execute(f"SELECT DISTINCT moment % {DAY_US} FROM staged LIMIT 2").fetchall()
    if len(moments) != 1:
        return None
    clock = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moments[0][0])).time()
    told = f"Every event is at {clock} UTC: the source knows days only, so hours and order within a day mean nothing"
    if moments[0][0] == 0:  # the anchors' own moment: what is bought on a day would be known before the day begins
        told += ", and a day's purchases count as known at 00:00 of it; give the days as dates to put them at noon"
    return f"{told}."


def _below_cost(connection: Any) -> str | None:
    return _share(connection, "sell below cost", "revenue < cost", "event_type = 'purchase' AND revenue < cost")


def _free(connection: Any) -> str | None:
    return _share(connection, "have no revenue or less", "revenue <= 0", "event_type = 'purchase' AND revenue <= 0")


def _costless(connection: Any) -> str | None:
    return _share(connection, "have no cost or less", "cost <= 0", "event_type = 'purchase' AND cost <= 0")


def _share(connection: Any, says: str, rule: str, condition: str) -> str | None:
    query = f"SELECT count(*) FILTER ({condition}), count(*) FILTER (event_type = 'purchase') FROM staged"
    found, purchases = connection.execute(query).fetchone()
    if not found:
        return None
    return f"{found:,} purchase lines ({found / purchases:.2%}) {says} ({rule})."


def _extreme_lines(connection: Any) -> str | None:
    query = f"""
        WITH tail AS (SELECT quantile_cont(revenue, 0.999) AS high FROM staged WHERE revenue > 0)
        SELECT count(*), max(revenue), any_value(high) FROM staged, tail WHERE revenue > {EXTREME} * high"""
    found, largest, high = connection.execute(query).fetchone()
    if not found:
        return None
    return (
        f"{_lines(found)} more than {EXTREME:.0f} times the 99.9th percentile of revenue ({high:,.0f}); "
        f"the largest is {largest:,.0f}."
    )


def _lines(count: int) -> str:
    return "One line has" if count == 1 else f"{count:,} lines have"


def _several_currencies(connection: Any) -> str | None:
    """Amounts without a currency count as one more, unless no event has one."""
    query = """SELECT coalesce(currency, 'no currency') AS money, count(*) AS n FROM staged
        WHERE revenue IS NOT NULL OR cost IS NOT NULL GROUP BY money ORDER BY n DESC, money"""
    found = connection.execute(query).fetchall()
    if len(found) < 2:
        return None
    told = [f"{money} ({count:,})" for money, count in found]
    return (
        f"Amounts in {_joined(told)} are added up as they are: a sum over several currencies means little. "
        "Convert them to one before the ingest."
    )


def _missing_attributes(connection: Any) -> str | None:
    asked = ", ".join(f"count(DISTINCT user_id) FILTER ({name} IS NULL), count({name})" for name in USER_ATTRIBUTES)
    customers, *counts = connection.execute(f"SELECT count(DISTINCT user_id), {asked} FROM staged").fetchone()
    told = [
        f"{name} for {without:,} of {customers:,} customers ({without / customers:.1%})"
        for name, without, given in zip(USER_ATTRIBUTES, counts[::2], counts[1::2], strict=True)
        if given and without
    ]
    return f"Missing in some rows: {'; '.join(told)}." if told else None


def _changing_customers(connection: Any) -> str | None:
    several = " OR ".join(f"count(DISTINCT {name}) > 1" for name in USER_ATTRIBUTES)
    query = f"SELECT count(*) FROM (SELECT user_id FROM staged GROUP BY user_id HAVING {several})"
    found = connection.execute(query).fetchone()[0]
    return f"{found:,} customers have an attribute that changes over time." if found else None


def _changing_categories(connection: Any) -> str | None:
    query = """SELECT count(*) FILTER (n > 1), max(n), count(*) FROM (
        SELECT count(DISTINCT category) AS n FROM staged WHERE item_id IS NOT NULL GROUP BY item_id)"""
    found, most, items = connection.execute(query).fetchone()
    if not found:
        return None
    return f"{found:,} of {items:,} items are in several categories over time (up to {most})."


RULES: tuple[Callable[[Any], str | None], ...] = (
    _thin_days,
    _heavy_days,
    _time_of_day,
    _below_cost,
    _extreme_lines,
    _free,
    _costless,
    _several_currencies,
    _missing_attributes,
    _changing_customers,
    _changing_categories,
)


def _span(first: date, last: date) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _joined(texts: list[str]) -> str:
    if len(texts) > 5:
        return _listed(texts)
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


def _listed(texts: list[str], most: int = 5) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
