"""Events that have no category of their own get the one that their item was known to have."""

from pathlib import Path
from typing import Any

__all__ = ["fill_categories"]

FILL = """COPY (
    SELECT s.* REPLACE (c.category AS category) FROM staged s ASOF LEFT JOIN (
        SELECT item_id, coalesce(moment, (SELECT min(moment) FROM staged)) AS moment,
            arg_max(category, source_row) AS category
        FROM attributes WHERE about = 'items' AND category IS NOT NULL GROUP BY ALL
    ) c ON s.item_id = c.item_id AND s.moment >= c.moment
) TO '{file}' (FORMAT parquet)"""


def fill_categories(connection: Any, folder: Path) -> int:
    """Replace the view `staged` by one with categories, none from after the event; return how many events have one.

    The order of the rows is lost.
    """
    file = str(folder / "filled.parquet").replace("'", "''")
    connection.execute(FILL.format(file=file))
    connection.execute(f"CREATE OR REPLACE VIEW staged AS FROM '{file}'")
    return int(connection.execute("SELECT count(category) FROM staged").fetchone()[0])
