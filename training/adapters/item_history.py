"""Events that have no category of their own get the one that their item was known to have."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.adapters.staged_files import KEYS, ROW_GROUP, staged_columns, staged_writer

__all__ = ["FILLED", "fill_categories"]

FILLED = "filled.parquet"
"""The file of the events with their categories."""

KNOWN = """CREATE TEMP TABLE known AS
    SELECT item_id, coalesce(moment, (SELECT min(moment) FROM staged)) AS moment,
        arg_max(category, source_row) AS category
    FROM attributes WHERE about = 'items' AND category IS NOT NULL AND item_id IS NOT NULL GROUP BY ALL"""
# Most items have one category for ever: for them a lookup does, and only the others are followed through time.
QUERY = """
    WITH several AS MATERIALIZED (SELECT item_id FROM known GROUP BY item_id HAVING count(*) > 1)
    SELECT {columns}, CASE WHEN s.moment >= c.moment THEN c.category END AS category
    FROM staged s LEFT JOIN (SELECT * FROM known ANTI JOIN several USING (item_id)) c ON s.item_id = c.item_id
    WHERE s.item_id IS NULL OR s.item_id NOT IN (SELECT item_id FROM several)
    UNION ALL
    SELECT {columns}, c.category AS category
    FROM (SELECT * FROM staged SEMI JOIN several USING (item_id)) s
    ASOF LEFT JOIN known c ON s.item_id = c.item_id AND s.moment >= c.moment"""


def fill_categories(connection: Any, folder: Path, values: Sequence[str]) -> int:
    """Replace the view `staged` by one with categories, none from after the event; return how many events have one.

    `values` are the columns in which any event has a value; nothing else is copied. The order of the rows is lost.
    """
    file, names = folder / FILLED, [*KEYS, *values]
    connection.execute(KNOWN)
    found = connection.sql(QUERY.format(columns=", ".join(f"s.{name}" for name in names)))
    filled = 0
    batches = found.to_arrow_reader(ROW_GROUP)
    with staged_writer(file, batches.schema) as writer:
        for batch in batches:
            writer.write_batch(batch, row_group_size=ROW_GROUP)
            filled += batch.num_rows - batch.column("category").null_count
    connection.execute("DROP TABLE known")
    source = str(file).replace("'", "''")
    columns = staged_columns([*names, "category"])
    connection.execute(f"CREATE OR REPLACE VIEW staged AS SELECT {columns} FROM '{source}'")
    return filled
