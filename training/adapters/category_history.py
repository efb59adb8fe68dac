"""Events that have no category of their own get the one that their item was known to have."""

from pathlib import Path
from typing import Any

__all__ = ["fill_categories"]

KNOWN = """CREATE TEMP TABLE known AS
    SELECT item_id, coalesce(moment, (SELECT min(moment) FROM staged)) AS moment,
        arg_max(category, source_row) AS category
    FROM attributes WHERE about = 'items' AND category IS NOT NULL AND item_id IS NOT NULL GROUP BY ALL"""
# Most items have one category for ever: for them a lookup does, and only the others are followed through time.
FILL = """COPY (
    WITH several AS MATERIALIZED (SELECT item_id FROM known GROUP BY item_id HAVING count(*) > 1)
    SELECT s.* REPLACE (CASE WHEN s.moment >= c.moment THEN c.category END AS category)
    FROM staged s LEFT JOIN (SELECT * FROM known ANTI JOIN several USING (item_id)) c ON s.item_id = c.item_id
    WHERE s.item_id IS NULL OR s.item_id NOT IN (SELECT item_id FROM several)
    UNION ALL
    SELECT s.* REPLACE (c.category AS category)
    FROM (SELECT * FROM staged SEMI JOIN several USING (item_id)) s
    ASOF LEFT JOIN known c ON s.item_id = c.item_id AND s.moment >= c.moment
) TO '{file}' (FORMAT parquet)"""


def fill_categories(connection: Any, folder: Path) -> int:
    """Replace the view `staged` by one with categories, none from after the event; return how many events have one.

    The order of the rows is lost.
    """
    file = str(folder / "filled.parquet").replace("'", "''")
    connection.execute(KNOWN)
    connection.execute(FILL.format(file=file))
    connection.execute("DROP TABLE known")
    connection.execute(f"CREATE OR REPLACE VIEW staged AS FROM '{file}'")
    return int(connection.execute("SELECT count(category) FROM staged").fetchone()[0])
