"""What is known about customers and items, and since when: one row whenever something changed.

A null in a source row means that this row says nothing, so what was known before still holds.
"""

from typing import Any

from training.adapters.contract import ITEM_ATTRIBUTES, USER_ATTRIBUTES

__all__ = ["item_query", "user_query"]

DAY_US = 86_400_000_000


def user_query() -> str:
    """Return SQL over `staged`: (user_id, moment, attributes) at the first row of a customer and at every change.

    Of several rows at one moment, the last one in the source that says something counts.
    """
    told = ", ".join(f"arg_max({name}, source_row) AS {name}" for name in USER_ATTRIBUTES)
    return _changes("user_id", f"SELECT user_id, moment, {told} FROM staged GROUP BY user_id, moment", USER_ATTRIBUTES)


def item_query(connection: Any) -> str:
    """Return SQL over `staged`: (item_id, moment, attributes) whenever an item's day (UTC) differs from what was known.

    A day's row holds from the item's last event on that day, because only then is all of it known. A `list_price`
    that the source does not have is the day's median of revenue per piece, `unit_cost` the day's median of cost per
    piece, over purchases of more than no pieces.
    """
    prices = {
        "list_price": _price(connection, "list_price", "revenue"),
        "unit_cost": _price(connection, "unit_cost", "cost"),
    }
    told = ", ".join(f"{prices.get(name, _last(name))} AS {name}" for name in ITEM_ATTRIBUTES)
    days = (
        f"SELECT item_id, max(moment) AS moment, {told} FROM staged WHERE item_id IS NOT NULL "
        f"GROUP BY item_id, moment // {DAY_US}"
    )
    return _changes("item_id", days, ITEM_ATTRIBUTES)


def _last(name: str) -> str:
    return f"arg_max({name}, source_row)"


def _price(connection: Any, name: str, total: str) -> str:
    if connection.execute(f"SELECT count({name}) FROM staged").fetchone()[0]:
        return _last(name)
    return f"median({total} / quantity) FILTER (event_type = 'purchase' AND quantity > 0)"


def _changes(key: str, told: str, attributes: tuple[str, ...]) -> str:
    known = ", ".join(f"last_value({name} IGNORE NULLS) OVER past AS {name}" for name in attributes)
    names = ", ".join(attributes)
    return f"""
        WITH told AS ({told}),
        known AS (
            SELECT {key}, moment, {known} FROM told
            WINDOW past AS (PARTITION BY {key} ORDER BY moment ROWS UNBOUNDED PRECEDING)
        ),
        compared AS (
            SELECT *, row_number() OVER before AS place, lag(row({names})) OVER before AS earlier FROM known
            WINDOW before AS (PARTITION BY {key} ORDER BY moment)
        )
        SELECT {key}, moment, {names} FROM compared
        WHERE place = 1 OR row({names}) IS DISTINCT FROM earlier
        ORDER BY moment, {key}"""
