"""Prices of items by the day, for sources that tell only what was paid: the day's median of revenue and cost per piece.

They are worked out from the events as these are written, in the order of time, and told of afterwards.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from training.adapters.daily_prices import FILES, DailyPrices

__all__ = ["derived_prices", "median_prices", "price_changes", "with_prices"]

TOTALS = {"list_price": "revenue", "unit_cost": "cost"}


def derived_prices(given: Mapping[str, int]) -> tuple[str, ...]:
    """Return the prices that have to be worked out: the source gives none, but totals and pieces."""
    return tuple(name for name, total in TOTALS.items() if not given[name] and given[total] and given["quantity"])


def with_prices(
    connection: Any, folder: Path, events: Iterator[pa.Table], derived: Sequence[str], kind: str | None
) -> Iterator[pa.Table]:
    """Yield the events, which are in the order of time, and gather prices on the way; `kind` is the type of all events.

    None says that `events` has a column of types.

    Makes `item_codes` (item_id, code, moving) from `item_said`, and views of what `DailyPrices` writes in `folder`. An
    item is moving if different things are said about it.
    """
    connection.execute(
        """CREATE TABLE item_codes AS
        SELECT item_id, row_number() OVER () - 1 AS code, moving FROM (
            SELECT item_id, count(*) > 1 AS moving FROM item_said GROUP BY item_id
        )"""
    )
    items = connection.sql("SELECT item_id, moving FROM item_codes ORDER BY code").to_arrow_table().combine_chunks()
    said_beside = len(connection.sql("FROM attributes LIMIT 1").to_arrow_table()) > 0
    ids, moving = items["item_id"].combine_chunks(), items["moving"].to_numpy()
    daily = DailyPrices(connection, folder, {name: TOTALS[name] for name in derived}, ids, moving, said_beside, kind)
    for table in events:
        if "item_id" in table.column_names:  # no event of the log has an item
            daily.add(table)
        yield table
    daily.close()
    for name, file in FILES.items():
        connection.read_parquet(str(folder / file)).create_view(name)


def median_prices(name: str) -> str:
    """Return SQL: (item_id, period, price) of the items that are moving, on days on which they have a price."""
    return (
        f"SELECT item_id, period, {name} AS price FROM price_days JOIN item_codes USING (code) WHERE {name} IS NOT NULL"
    )


def price_changes(derived: Sequence[str], attributes: Sequence[str]) -> str:
    """Return SQL: (item_id, moment, attributes) of the items that are not moving, whenever a price changes."""
    names = "".join(f", {'price_changes' if name in derived else 'item_said'}.{name} AS {name}" for name in attributes)
    return f"""
        SELECT item_id, price_changes.moment AS moment{names}
        FROM price_changes JOIN item_codes USING (code) JOIN item_said USING (item_id)"""
