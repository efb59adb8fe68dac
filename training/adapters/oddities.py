"""What is odd in a log, found by rules that hold for any shop; nothing here knows a data set.

Each rule is a function of the staged log that returns one sentence, or None. No sentence names a customer. The rules
read what was gathered in one pass each: `days`, `amounts`, `user_said`, `item_said`.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from training.adapters.contract import USER_ATTRIBUTES

__all__ = ["odd_facts"]

DAY_US = 86_400_000_000
AROUND_DAYS = 14  # a day is compared with the two weeks before and after it: seasons drift, weekdays even out
THIN, HEAVY = 0.25, 4.0
EXTREME = 50.0
TAIL = 0.999

DAYS = f"""CREATE TABLE days AS SELECT moment // {DAY_US} AS day, event_type, count(*) AS lines,
    min(moment) AS first, max(moment) AS last, min(moment % {DAY_US}) AS earliest, max(moment % {DAY_US}) AS latest
    FROM staged GROUP BY day, event_type"""
AMOUNTS = """CREATE TABLE amounts AS SELECT revenue, currency, event_type = 'purchase' AS bought, count(*) AS lines,
    count(*) FILTER (revenue < cost) AS below_cost, count(*) FILTER (cost <= 0) AS costless, count(cost) AS with_cost
    FROM staged WHERE revenue IS NOT NULL OR cost IS NOT NULL GROUP BY revenue, currency, bought"""


def odd_facts(connection: Any) -> list[str]:
    """Return what is odd in the table `staged`, one sentence each, in the order of the rules."""
    connection.execute(DAYS)
    connection.execute(AMOUNTS)
    facts = [rule(connection) for rule in RULES]
    return [fact for fact in facts if fact]


def _thin_days(connection: Any) -> str | None:
    return _unusual_days(connection, "thins out", lambda lines, usual: lines < THIN * usual)


def _heavy_days(connection: Any) -> str | None:
    return _unusual_days(connection, "swells", lambda lines, usual: lines > HEAVY * usual)


def _unusual_days(connection: Any, verb: str, unusual: Callable[[Any, Any], npt.NDArray[np.bool_]]) -> str | None:
    days, lines = _daily(connection)
    usual = _around(lines)
    found = np.flatnonzero(unusual(lines, usual))
    if not found.size:
        return None
    runs = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1)
    told = [
        f"{_span(days[run[0]], days[run[-1]])} ({lines[run].sum() / max(usual[run].sum(), 1.0):.0%})" for run in runs
    ]
    return f"The log {verb}, against the median of the four weeks around, on {_listed(told)}."


def _daily(connection: Any) -> tuple[list[date], npt.NDArray[np.float64]]:
    rows = connection.execute("SELECT day, sum(lines) FROM days GROUP BY day ORDER BY day").fetchall()
    first, last = rows[0][0], rows[-1][0]
    lines = np.zeros(last - first + 1)
    for day, count in rows:
        lines[day - first] = count
    start = datetime.fromtimestamp(first * DAY_US / 1e6, tz=UTC).date()
    return [start + timedelta(days=k) for k in range(len(lines))], lines


def _around(lines: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The median of each day and its neighbours, of which the first and the last days have fewer."""
    width, days = 2 * AROUND_DAYS + 1, len(lines)
    edges = {*range(min(AROUND_DAYS, days)), *range(max(0, days - AROUND_DAYS), days)}
    usual = np.empty(days)
    for k in edges:
        usual[k] = np.median(lines[max(0, k - AROUND_DAYS) : k + AROUND_DAYS + 1])
    if days >= width:
        usual[AROUND_DAYS : days - AROUND_DAYS] = np.median(sliding_window_view(lines, width), axis=1)
    return usual


def _time_of_day(connection: Any) -> str | None:
    earliest, latest = connection.execute("SELECT min(earliest), max(latest) FROM days").fetchone()
    if earliest != latest:
        return None
    clock = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=earliest)).time()
    told = f"Every event is at {clock} UTC: the source knows days only, so hours and order within a day mean nothing"
    if earliest == 0:  # the anchors' own moment: what is bought on a day would be known before the day begins
        told += ", and a day's purchases count as known at 00:00 of it; give the days as dates to put them at noon"
    return f"{told}."


def _below_cost(connection: Any) -> str | None:
    return _share(connection, "sell below cost", "revenue < cost", "sum(below_cost)")


def _free(connection: Any) -> str | None:
    return _share(connection, "have no revenue or less", "revenue <= 0", "sum(lines) FILTER (revenue <= 0)")


def _costless(connection: Any) -> str | None:
    return _share(connection, "have no cost or less", "cost <= 0", "sum(costless)")


def _share(connection: Any, says: str, rule: str, counted: str) -> str | None:
    found = connection.execute(f"SELECT {counted} FROM amounts WHERE bought").fetchone()[0]
    if not found:
        return None
    query = "SELECT sum(lines) FROM days WHERE event_type = 'purchase'"
    purchases = connection.execute(query).fetchone()[0]
    return f"{found:,} purchase lines ({found / purchases:.2%}) {says} ({rule})."


def _extreme_lines(connection: Any) -> str | None:
    high = _tail(connection)
    if high is None:
        return None
    query = "SELECT sum(lines), max(revenue) FROM amounts WHERE revenue > ?"
    found, largest = connection.execute(query, [EXTREME * high]).fetchone()
    if not found:
        return None
    return (
        f"{_lines(found)} more than {EXTREME:.0f} times the 99.9th percentile of revenue ({high:,.0f}); "
        f"the largest is {largest:,.0f}."
    )


def _tail(connection: Any) -> float | None:
    """The 99.9th percentile of what is paid, from how often each amount is paid; None without any."""
    total = connection.execute("SELECT sum(lines) FROM amounts WHERE revenue > 0").fetchone()[0]
    if not total:
        return None
    place = (int(total) - 1) * TAIL
    query = """SELECT min(revenue) FILTER (reached > $at), min(revenue) FILTER (reached > $at + 1) FROM (
        SELECT revenue, sum(sum(lines)) OVER (ORDER BY revenue) AS reached FROM amounts WHERE revenue > 0
        GROUP BY revenue)"""
    low, high = connection.execute(query, {"at": int(place)}).fetchone()
    return float(low + ((low if high is None else high) - low) * (place - int(place)))


def _lines(count: int) -> str:
    return "One line has" if count == 1 else f"{count:,} lines have"


def _several_currencies(connection: Any) -> str | None:
    """Amounts without a currency count as one more, unless no event has one."""
    query = """SELECT coalesce(currency, 'no currency') AS money, sum(lines) AS n FROM amounts
        GROUP BY money ORDER BY n DESC, money"""
    found = connection.execute(query).fetchall()
    if len(found) < 2:
        return None
    told = [f"{money} ({count:,})" for money, count in found]
    return (
        f"Amounts in {_joined(told)} are added up as they are: a sum over several currencies means little. "
        "Convert them to one before the ingest."
    )


def _missing_attributes(connection: Any) -> str | None:
    """In events; where a file about the customers says more, whoever it says nothing about."""
    spoken = _spoken(connection)
    if not spoken:
        return None
    from_file = connection.execute("SELECT count(*) FROM user_said WHERE events = 0").fetchone()[0] > 0
    missing = "bool_and({0} IS NULL)" if from_file else "bool_or({0} IS NULL AND events > 0)"
    each = ", ".join(f"{missing.format(name)} AS no_{name}, count({name}) AS {name}" for name in spoken)
    asked = ", ".join(f"count(*) FILTER (no_{name}), sum({name})" for name in spoken)
    query = f"SELECT count(*), {asked} FROM (SELECT {each} FROM user_said GROUP BY user_id HAVING sum(events) > 0)"
    customers, *counts = connection.execute(query).fetchone()
    told = [
        f"{name} for {without:,} of {customers:,} customers ({without / customers:.1%})"
        for name, without, given in zip(spoken, counts[::2], counts[1::2], strict=True)
        if given and without
    ]
    return f"Missing in some rows: {'; '.join(told)}." if told else None


def _spoken(connection: Any) -> list[str]:
    """The attributes of customers of which anything is said."""
    counted = ", ".join(f"count({name}) > 0" for name in USER_ATTRIBUTES)
    told = connection.execute(f"SELECT {counted} FROM user_said").fetchone()
    return [name for name, given in zip(USER_ATTRIBUTES, told, strict=True) if given]


def _changing_customers(connection: Any) -> str | None:
    spoken = _spoken(connection)
    if not spoken:
        return None
    several = " OR ".join(f"count(DISTINCT {name}) > 1" for name in spoken)
    query = f"""SELECT count(*) FROM (SELECT user_id FROM user_said WHERE user_id IN (
        SELECT user_id FROM user_said GROUP BY user_id HAVING count(*) > 1) GROUP BY user_id HAVING {several})"""
    found = connection.execute(query).fetchone()[0]
    return f"{found:,} customers have an attribute that changes over time." if found else None


def _changing_categories(connection: Any) -> str | None:
    query = """SELECT count(*) FILTER (n > 1), max(n), count(*) FROM (
        SELECT count(DISTINCT category) AS n FROM item_said GROUP BY item_id HAVING sum(events) > 0)"""
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
