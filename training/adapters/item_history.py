"""Events that say nothing of an item's category or price get what their item was known to have at that moment."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.adapters.staged_files import KEYS, ROW_GROUP, staged_columns, staged_writer

__all__ = ["fill_from_items", "told_by_items"]

OF_ITEMS = ("category", "list_price")

KNOWN = """CREATE TEMP TABLE known AS
    SELECT item_id, coalesce(moment, (SELECT min(moment) FROM staged)) AS moment,
        arg_max({name}, source_row) AS {name}
    FROM attributes WHERE about = 'items' AND {name} IS NOT NULL AND item_id IS NOT NULL GROUP BY ALL"""
# Most items have one category for ever: for them a lookup does, and only the others are followed through time.
QUERY = """
    WITH several AS MATERIALIZED (SELECT item_id FROM known GROUP BY item_id HAVING count(*) > 1)
    SELECT {columns}, CASE WHEN s.moment >= c.moment THEN c.{name} END AS {name}
    FROM staged s LEFT JOIN (SELECT * FROM known ANTI JOIN several USING (item_id)) c ON s.item_id = c.item_id
    WHERE s.item_id IS NULL OR s.item_id NOT IN (SELECT item_id FROM several)
    UNION ALL
    SELECT {columns}, c.{name} AS {name}
    FROM (SELECT * FROM staged SEMI JOIN several USING (item_id)) s
    ASOF LEFT JOIN known c ON s.item_id = c.item_id AND s.moment >= c.moment"""


def told_by_items(given: Mapping[str, int], said_beside: Mapping[str, int]) -> list[str]:
    """Return what no event says, but files about items do; both count the values of each canonical column."""
    return [name for name in OF_ITEMS if not given[name] and said_beside[name]]


def fill_from_items(connection: Any, folder: Path, values: Sequence[str], name: str) -> tuple[Path, int]:
    """Replace the view `staged` by one with the column `name` of the items, none from after the event.

    `values` are the columns in which any event has a value; nothing else is copied. Returned are the file of the
    events, in which the order of the rows is lost, and how many of them have a value now.
    """
    file, names = folder / f"filled_{name}.parquet", [*KEYS, *values]
    connection.execute(KNOWN.format(name=name))
    found = connection.sql(QUERY.format(columns=", ".join(f"s.{column}" for column in names), name=name))
    filled = 0
    batches = found.to_arrow_reader(ROW_GROUP)
    with staged_writer(file, batches.schema) as writer:
        for batch in batches:
            writer.write_batch(batch, row_group_size=ROW_GROUP)
            filled += batch.num_rows - batch.column(name).null_count
    connection.execute("DROP TABLE known")
    source = str(file).replace("'", "''")
    columns = staged_columns([*names, name])
    connection.execute(f"CREATE OR REPLACE VIEW staged AS SELECT {columns} FROM '{source}'")
    return file, filled
