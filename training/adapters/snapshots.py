"""What is known about customers and items, and since when: one row whenever something changed.

A null in a source row means that this row says nothing, so what was known before still holds.

Most customers and items say the same in all of their rows. Those are told from one pass over the rows, which keeps
one group for everything that was ever said; only the others are followed through time.
"""

from collections.abc import Mapping
from typing import Any

from training.adapters.contract import ITEM_ATTRIBUTES, NUMBER_COLUMNS, USER_ATTRIBUTES
from training.adapters.daily_prices import DAY_US
from training.adapters.item_prices import derived_prices, median_prices, price_changes

__all__ = ["item_query", "prepare_snapshots", "user_query"]

OF_A_SALE = ("event_type", "quantity", "revenue", "cost")  # no row of a file about items is one

# Smallest for the earliest day and, on it, the latest moment: what `_DECODED` gives back is that moment.
LATE_ON_THE_FIRST_DAY = f"min((moment // {DAY_US}) * {2 * DAY_US} + {DAY_US} - moment % {DAY_US})"
DECODED = f"(latest // {2 * DAY_US}) * {DAY_US} + {DAY_US} - latest % {2 * DAY_US}"


def prepare_snapshots(connection: Any, given: Mapping[str, int]) -> None:
    """Make `user_said` and `item_said`: a row for every different thing that was ever said about a user or an item.

    `given` counts the values of each canonical column, of events and of files about items and users: columns without
    any are not looked at. `events` counts the events that say it.
    """
    attributes = dict.fromkeys(USER_ATTRIBUTES + ITEM_ATTRIBUTES)
    columns = ", ".join(("source_row", "moment", "user_id", "item_id", *attributes, *OF_A_SALE))
    told = f"SELECT {columns}, TRUE AS of_event FROM staged"
    if connection.execute("SELECT count(*) FROM attributes").fetchone()[0]:
        since_the_first = "coalesce(moment, (SELECT min(moment) FROM staged)) AS moment"
        told += f" UNION ALL BY NAME SELECT * REPLACE ({since_the_first}), FALSE AS of_event"
        told += f" FROM (SELECT {columns} FROM attributes)"
    connection.execute(f"CREATE VIEW told AS {told}")
    _gather(connection, "user_said", "user_id", USER_ATTRIBUTES, given)
    latest = "" if derived_prices(given) else f", {LATE_ON_THE_FIRST_DAY} AS latest"
    _gather(connection, "item_said", "item_id", ITEM_ATTRIBUTES, given, latest)


def user_query(connection: Any, given: Mapping[str, int]) -> str:
    """Return SQL: (user_id, moment, attributes) at the first row of a customer and at every change.

    Of several rows at one moment, the last one in the source that says something counts.
    """
    spoken = _spoken(USER_ATTRIBUTES, given)
    if not spoken:  # one row each, and nothing that could change
        return f"SELECT user_id, moment, {', '.join(USER_ATTRIBUTES)} FROM user_said ORDER BY moment, user_id"
    says = " OR ".join(f"{name} IS NOT NULL" for name in spoken)
    # Whose events say nothing, and a file about customers all, is the same from the file's moment on: a log of which
    # that is true for every customer would be followed row by row otherwise.
    moving = f"""SELECT user_id FROM user_said GROUP BY user_id HAVING count(*) FILTER ({says}) > 1
        OR min(moment) FILTER (NOT ({says})) < min(moment) FILTER ({says})"""
    connection.execute(f"CREATE TABLE user_periods AS {_periods('user_id', 'moment', moving, spoken)}")
    return f"""
        SELECT user_id, moment, {", ".join(USER_ATTRIBUTES)} FROM user_said
        WHERE user_id NOT IN (SELECT user_id FROM user_periods)
            AND (({says}) OR user_id NOT IN (SELECT user_id FROM user_said WHERE {says}))
        UNION ALL BY NAME {_changes("user_id", "user_periods", spoken, USER_ATTRIBUTES)}
        ORDER BY moment, user_id"""


def item_query(connection: Any, given: Mapping[str, int]) -> str:
    """Return SQL: (item_id, moment, attributes) whenever an item's day (UTC) differs from what was known.

    A day's row holds from the item's last event on that day, because only then is all of it known; of an attribute the
    last value counts, by time and then by place in the source. A `list_price` that the source does not have is the
    day's median of revenue per piece, `unit_cost` the day's median of cost per piece, over purchases of more than no
    pieces.
    """
    derived, spoken, day = derived_prices(given), _spoken(ITEM_ATTRIBUTES, given), f"moment // {DAY_US}"
    moving = "SELECT item_id FROM item_said GROUP BY item_id HAVING count(*) > 1"
    connection.execute(f"CREATE TABLE item_periods AS {_periods('item_id', day, moving, spoken, derived)}")
    if derived:
        constant = price_changes(derived, ITEM_ATTRIBUTES)
    else:
        steady = "item_id NOT IN (SELECT item_id FROM item_periods)"
        constant = f"SELECT item_id, {DECODED} AS moment, {', '.join(ITEM_ATTRIBUTES)} FROM item_said WHERE {steady}"
    return f"""
        {constant}
        UNION ALL BY NAME {_changes("item_id", "item_periods", (*spoken, *derived), ITEM_ATTRIBUTES)}
        ORDER BY moment, item_id"""


def _spoken(attributes: tuple[str, ...], given: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(name for name in attributes if given[name])


def _gather(
    connection: Any, table: str, key: str, attributes: tuple[str, ...], given: Mapping[str, int], latest: str = ""
) -> None:
    spoken = _spoken(attributes, given)
    names = "".join(f", {name}" for name in spoken)
    silent = "".join(f", NULL::{_kind(name)} AS {name}" for name in attributes if name not in spoken)
    connection.execute(
        f"CREATE TABLE {table} AS SELECT {key}{names}{silent}, min(moment) AS moment{latest}, "
        f"count(*) FILTER (of_event) AS events "
        f"FROM told WHERE {key} IS NOT NULL GROUP BY {key}{names}"
    )


def _periods(key: str, period: str, moving: str, spoken: tuple[str, ...], derived: tuple[str, ...] = ()) -> str:
    """What is said about those in `moving`, a row a period: of each attribute the last value, by time, then by source.

    What a period says again and again is one row first, so that little is left to compare.
    """
    names = "".join(f", {name}" for name in spoken)
    last = "".join(f", arg_max({name}, place) AS {name}" for name in spoken)
    medians = "".join(f", {name}_medians.price AS {name}" for name in derived)
    joins = "".join(f" LEFT JOIN ({median_prices(name)}) {name}_medians USING ({key}, period)" for name in derived)
    return f"""
        WITH said AS (
            SELECT {key}, {period} AS period{names}, max(moment) AS moment,
                max(moment::HUGEINT * {2**50} + source_row) AS place
            FROM told WHERE {key} IN ({moving}) GROUP BY {key}, period{names}
        ),
        lasting AS (SELECT {key}, period, max(moment) AS moment{last} FROM said GROUP BY {key}, period)
        SELECT lasting.*{medians} FROM lasting{joins}"""


def _changes(key: str, periods: str, spoken: tuple[str, ...], attributes: tuple[str, ...]) -> str:
    """The periods at which something differs from what was known; `attributes` that nobody speaks of stay null."""
    known = "".join(f", last_value({name} IGNORE NULLS) OVER past AS {name}" for name in spoken)
    before = "".join(f", lag({name}) OVER past AS before_{name}" for name in spoken)
    differs = "".join(f" OR {name} IS DISTINCT FROM before_{name}" for name in spoken)
    names = "".join(f", {name}" if name in spoken else f", NULL::{_kind(name)} AS {name}" for name in attributes)
    return f"""
        SELECT {key}, moment{names} FROM (
            SELECT *, row_number() OVER past AS place{before} FROM (
                SELECT {key}, moment{known} FROM {periods}
                WINDOW past AS (PARTITION BY {key} ORDER BY moment ROWS UNBOUNDED PRECEDING)
            ) WINDOW past AS (PARTITION BY {key} ORDER BY moment)
        ) WHERE place = 1{differs}"""


def _kind(name: str) -> str:
    return "DOUBLE" if name in NUMBER_COLUMNS else "VARCHAR"
