"""Prices of items by the day, for sources that tell only what was paid: the day's median of revenue and cost per piece.

Most items say one thing for ever but their price, and on most days they have one price. Those are told from one pass
that groups by numbers instead of by text; only days with several prices are looked at row by row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["DAY_US", "derived_prices", "median_prices", "price_changes"]

DAY_US = 86_400_000_000
TOTALS = {"list_price": "revenue", "unit_cost": "cost"}
SOLD = "event_type = 'purchase' AND quantity > 0"
CODED = "JOIN (SELECT item_id, code FROM steady) USING (item_id)"


def derived_prices(given: Mapping[str, int]) -> tuple[str, ...]:
    """Return the prices that have to be worked out: the source gives none, but totals and pieces."""
    return tuple(name for name, total in TOTALS.items() if not given[name] and given[total] and given["quantity"])


def median_prices(connection: Any, name: str, items: str) -> None:
    """Make the table `<name>_medians` (item_id, period, price) of the `items` (SQL that selects item_id).

    A period is a day (UTC), its price the exact median of what was paid per piece, told from how often each price was
    paid: no group holds all of its values.
    """
    rows = f"""SELECT item_id, moment // {DAY_US} AS period, {TOTALS[name]} / quantity AS price FROM staged
        WHERE {SOLD} AND {TOTALS[name]} IS NOT NULL AND item_id IN ({items})"""
    connection.execute(f"CREATE TABLE {name}_medians AS {_medians(rows, 'item_id')}")


def price_changes(connection: Any, derived: Sequence[str], attributes: Sequence[str]) -> str:
    """Return SQL: (item_id, moment, attributes) of the items of the table `steady` whenever a price changes.

    `steady` (item_id, code, attributes) has the items that are said to be one thing for ever; `code` is a number.
    """
    _daily_prices(connection, derived)
    _gather_days_of_several(connection, derived)
    for name in derived:
        _settle_days_of_several(connection, name)
    known = "".join(f", last_value({name} IGNORE NULLS) OVER past AS {name}" for name in derived)
    before = "".join(f", lag({name}) OVER past AS before_{name}" for name in derived)
    differs = "".join(f" OR changes.{name} IS DISTINCT FROM before_{name}" for name in derived)
    names = "".join(f", {'changes' if name in derived else 'steady'}.{name} AS {name}" for name in attributes)
    return f"""
        SELECT steady.item_id AS item_id, changes.moment AS moment{names} FROM (
            SELECT *, row_number() OVER past AS place{before} FROM (
                SELECT code, moment{known} FROM daily_prices
                WINDOW past AS (PARTITION BY code ORDER BY period ROWS UNBOUNDED PRECEDING)
            ) WINDOW past AS (PARTITION BY code ORDER BY moment)
        ) changes JOIN steady USING (code) WHERE place = 1{differs}"""


def _daily_prices(connection: Any, derived: Sequence[str]) -> None:
    """Make `daily_prices`: of each steady item and day the last moment and the price, where it had only one."""
    paid = "".join(f", CASE WHEN {SOLD} THEN {TOTALS[name]} / quantity END AS {name}" for name in derived)
    spread = "".join(f", min({name}) AS {name}, max({name}) AS most_{name}" for name in derived)
    connection.execute(
        f"""CREATE TABLE daily_prices AS SELECT code, period, max(moment) AS moment{spread} FROM (
            SELECT code, moment // {DAY_US} AS period, moment{paid} FROM told {CODED}
        ) GROUP BY code, period"""
    )


def _gather_days_of_several(connection: Any, derived: Sequence[str]) -> None:
    """Make `several`: what was paid, row by row, on the days on which an item had more than one price."""
    spread = " OR ".join(f"{name} < most_{name}" for name in derived)
    paid = "".join(f", {TOTALS[name]} / quantity AS {name}" for name in derived)
    connection.execute(
        f"""CREATE TABLE several AS SELECT * FROM (
            SELECT code, moment // {DAY_US} AS period{paid} FROM staged {CODED} WHERE {SOLD}
        ) SEMI JOIN (SELECT code, period FROM daily_prices WHERE {spread}) USING (code, period)"""
    )


def _settle_days_of_several(connection: Any, name: str) -> None:
    """Put the median where `daily_prices` has the least of several prices."""
    rows = f"SELECT code, period, {name} AS price FROM several WHERE {name} IS NOT NULL"
    connection.execute(f"CREATE TABLE {name}_of_several AS {_medians(rows, 'code')}")
    connection.execute(
        f"""UPDATE daily_prices SET {name} = price FROM {name}_of_several told
        WHERE daily_prices.code = told.code AND daily_prices.period = told.period"""
    )


def _medians(rows: str, key: str) -> str:
    return f"""
        SELECT {key}, period, CASE WHEN low = high THEN low ELSE low + (high - low) * 0.5 END AS price FROM (
            SELECT {key}, period, min(price) FILTER (reached >= (lines + 1) // 2) AS low,
                min(price) FILTER (reached >= lines // 2 + 1) AS high
            FROM (
                SELECT *, sum(n) OVER (PARTITION BY {key}, period ORDER BY price) AS reached,
                    sum(n) OVER (
                        PARTITION BY {key}, period ORDER BY price
                        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                    ) AS lines
                FROM (SELECT *, count(*) AS n FROM ({rows}) GROUP BY ALL)
            ) GROUP BY {key}, period
        )"""
