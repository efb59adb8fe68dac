"""The tables behind the batch views, computed from the canonical log by DuckDB.

Batch features change once a day: what became known during a day (UTC) counts from its end on. `user_events` and
`user_counters`, which a stream keeps up to date, change with every event. A row is made of exactly the lines that were
known at its `created_timestamp`, so that a line that comes late changes no value of the time before it came: not even
by making a row disappear.

A total of amounts adds up what is known; where there are lines and the shop knows none of their amounts, it is null
(NaN in a list), never 0. No lines are worth 0.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from feature_repo.errors import SourceDataError
from feature_repo.events import EVENT_TYPES

__all__ = ["DERIVED_TABLES", "SPILL_PREFIX", "derive_table", "derived_batches"]

MEMORY = "1500MB"
SPILL_PREFIX = ".deriving-"

# The end of the day on which a line became known; a line that became known at midnight counts at once.
_KNOWN_AT = "date_trunc('day', created_timestamp + INTERVAL 1 DAY - INTERVAL 1 MICROSECOND)"

# Amounts are added up as decimals: a sum of floats depends on the order, and so on what else is in the log.
_EXACT = "DECIMAL(38, 6)"

_LINES = f"""
    SELECT * REPLACE (quantity::{_EXACT} AS quantity, revenue::{_EXACT} AS revenue, cost::{_EXACT} AS cost),
        event_type = 'purchase' AS bought, {_KNOWN_AT} AS known_at,
        coalesce(session_id, strftime(event_timestamp, '%Y-%m-%d')) AS basket
    FROM events WHERE event_type IN ('purchase', 'return')
"""

USER_BASKETS = f"""
    SELECT user_id, max(event_timestamp) AS event_timestamp, known_at AS created_timestamp,
        epoch_us(max(event_timestamp)) AS basket_at,
        count(*)::DOUBLE AS basket_lines,
        coalesce(sum(quantity)::DOUBLE, 'nan') AS basket_quantity,
        coalesce(sum(revenue)::DOUBLE, 'nan') AS basket_revenue,
        coalesce(sum(cost)::DOUBLE, 'nan') AS basket_cost,
        count(DISTINCT item_id)::DOUBLE AS basket_items,
        count(DISTINCT category)::DOUBLE AS basket_categories
    FROM ({_LINES}) WHERE bought GROUP BY user_id, basket, known_at ORDER BY user_id, event_timestamp, known_at, basket
"""
"""One row a basket: a session's purchase lines or, where the shop has no sessions, a day's.

Lines that became known on a later day than the rest of their basket are a row of their own.
"""

USER_EVENTS = """
    SELECT user_id, event_timestamp, created_timestamp, epoch_us(event_timestamp) AS event_at, event_type,
        coalesce(item_id, '') AS event_item, coalesce(category, '') AS event_category,
        coalesce(quantity, 'nan'::DOUBLE) AS event_quantity,
        coalesce(revenue, 'nan'::DOUBLE) AS event_revenue, coalesce(cost, 'nan'::DOUBLE) AS event_cost,
        coalesce(list_price, 'nan'::DOUBLE) AS event_price,
        epoch_us(created_timestamp) AS event_known_at,
        (('0x' || substr(sha256(event_id), 1, 16))::UBIGINT >> 1)::BIGINT AS event_key
    FROM events ORDER BY user_id, event_timestamp, created_timestamp, event_key
"""
"""One row an event. Lists hold no nulls, so what the shop does not know is '' or NaN here.

`event_key` is `feature_repo.events.event_key` of its id: what a stream merges by, and what orders events of one moment.
"""

USER_COUNTERS = f"""
    SELECT user_id, max(newest) OVER running AS event_timestamp, created_timestamp,
        {", ".join(f"(sum({kind}_count) OVER running)::BIGINT AS {kind}_count" for kind in EVENT_TYPES)},
        epoch_us(min(oldest) OVER running) AS first_event_at,
        epoch_us(max(newest) OVER running) AS last_event_at
    FROM (
        SELECT user_id, created_timestamp, min(event_timestamp) AS oldest, max(event_timestamp) AS newest,
            {", ".join(f"count(*) FILTER (event_type = '{kind}') AS {kind}_count" for kind in EVENT_TYPES)}
        FROM events GROUP BY user_id, created_timestamp
    )
    WINDOW running AS (PARTITION BY user_id ORDER BY created_timestamp ROWS UNBOUNDED PRECEDING)
    ORDER BY user_id, event_timestamp, created_timestamp
"""
"""One row for each moment at which the shop learnt of events: how many of each type it knew by then, late ones too.

`event_timestamp` is the newest event among them.
"""

USER_PROFILE = """
    SELECT user_id, event_timestamp, created_timestamp, age_group, gender, occupation, country, area
    FROM users ORDER BY user_id, event_timestamp
"""


def _first(column: str) -> str:
    """Whether a purchase line is the first that the shop knew of with this value of `column`."""
    earlier = f"PARTITION BY user_id, bought, {column} ORDER BY known_at, event_timestamp, event_id"
    return f"bought AND {column} IS NOT NULL AND row_number() OVER ({earlier}) = 1"


_DAYS = f"""
    SELECT user_id, known_at, max(event_timestamp) AS newest,
        count(*) FILTER (new_basket) AS baskets, count(*) FILTER (bought) AS lines,
        count(*) FILTER (NOT bought) AS returns,
        sum(quantity) FILTER (bought) AS quantity, sum(revenue) FILTER (bought) AS revenue,
        sum(cost) FILTER (bought) AS cost,
        count(*) FILTER (new_item) AS items, count(*) FILTER (new_category) AS categories,
        min(event_timestamp) FILTER (bought) AS first_bought, max(event_timestamp) FILTER (bought) AS last_bought
    FROM (SELECT *, {_first("basket")} AS new_basket, {_first("item_id")} AS new_item,
            {_first("category")} AS new_category FROM ({_LINES}))
    GROUP BY user_id, known_at
"""


def _spent(amount: str) -> str:
    nothing_bought = "CASE WHEN sum(lines) OVER running = 0 THEN 0 END"
    return f"coalesce(sum({amount}) OVER running, {nothing_bought})::DOUBLE AS lifetime_{amount}"


USER_HISTORY = f"""
    SELECT user_id, max(newest) OVER running AS event_timestamp, known_at AS created_timestamp,
        sum(baskets) OVER running::DOUBLE AS lifetime_baskets,
        sum(lines) OVER running::DOUBLE AS lifetime_lines,
        {_spent("quantity")}, {_spent("revenue")}, {_spent("cost")},
        sum(returns) OVER running::DOUBLE AS lifetime_returns,
        sum(items) OVER running::DOUBLE AS distinct_items,
        sum(categories) OVER running::DOUBLE AS distinct_categories,
        epoch_us(min(first_bought) OVER running) AS first_purchase_at,
        epoch_us(max(last_bought) OVER running) AS last_purchase_at
    FROM ({_DAYS})
    WINDOW running AS (PARTITION BY user_id ORDER BY known_at ROWS UNBOUNDED PRECEDING)
    ORDER BY user_id, event_timestamp, created_timestamp
"""
"""One row for each day on which the shop learnt of a purchase or a return: totals of all it knew by then.

`event_timestamp` is the newest event among them, so that the age of a row is the age of what it rests on.
"""

ITEM_CATALOGUE = """
    SELECT item_id, event_timestamp, created_timestamp, category AS item_category, brand, title,
        list_price, unit_cost
    FROM items ORDER BY item_id, event_timestamp
"""

_SALES = f"""
    SELECT item_id, known_at, event_timestamp, count(*) AS purchases, count(DISTINCT user_id) AS buyers,
        coalesce(sum(quantity), 0) AS pieces, coalesce(sum(revenue), 0) AS revenue,
        count(quantity) AS pieces_known, count(revenue) AS revenue_known
    FROM ({_LINES}) WHERE bought AND item_id IS NOT NULL GROUP BY item_id, known_at, event_timestamp
"""


# What is added up: figures, and for each amount in how many sales it was known.
_ADDED = ("purchases", "pieces", "revenue", "pieces_known", "revenue_known")
_TOTALS = (*_ADDED, "buyers")
_WINDOWS = (7, 30)


def _entering(days: int) -> str:
    """Sales count in a window of `days` from when they are known, unless they have left it by then."""
    inside = f"event_timestamp + INTERVAL {days} DAYS > known_at"
    return ", ".join(f"CASE WHEN {inside} THEN {name} ELSE 0 END AS {name}_{days}d" for name in _ADDED)


def _leaving(days: int) -> str:
    """Sales leave a window of `days` exactly `days` after they happened: (t - w, t] no longer holds them then."""
    columns = ", ".join(
        f"{f'-{name}' if window == days else '0'} AS {name}_{window}d" for window in _WINDOWS for name in _ADDED
    )
    return f"""
        SELECT item_id, event_timestamp + INTERVAL {days} DAYS AS moment,
            {", ".join(f"0 AS {name}" for name in _TOTALS)}, {columns}
        FROM sales WHERE event_timestamp + INTERVAL {days} DAYS > known_at
    """


_CHANGES = f"""
    SELECT item_id, known_at AS moment, {", ".join(_TOTALS)}, {_entering(7)}, {_entering(30)}
    FROM sales UNION ALL {_leaving(7)} UNION ALL {_leaving(30)}
"""

_SUMMED = (*_TOTALS, *(f"{name}_{days}d" for days in _WINDOWS for name in _ADDED))


def _sold(name: str, window: str = "", column: str = "") -> str:
    """The running sum of a figure; of an amount, null while sales are in the window and none of theirs is known."""
    total = f"sum({name}{window}) OVER running"
    if name in ("pieces", "revenue"):
        unknown = f"sum(purchases{window}) OVER running > 0 AND sum({name}_known{window}) OVER running = 0"
        total = f"CASE WHEN {unknown} THEN NULL ELSE {total} END"
    return f"({total})::DOUBLE AS item_{name}{column or window}"


ITEM_DEMAND = f"""
    WITH sales AS ({_SALES}),
    moments AS (
        SELECT item_id, moment, {", ".join(f"sum({name}) AS {name}" for name in _SUMMED)}
        FROM ({_CHANGES}) GROUP BY item_id, moment
    )
    SELECT item_id, moment AS event_timestamp, moment AS created_timestamp,
        {", ".join(_sold(name, column="_total") for name in ("purchases", "buyers", "pieces", "revenue"))},
        {", ".join(_sold(name, f"_{days}d") for days in _WINDOWS for name in ("purchases", "pieces", "revenue"))}
    FROM moments
    WINDOW running AS (PARTITION BY item_id ORDER BY moment ROWS UNBOUNDED PRECEDING)
    ORDER BY item_id, event_timestamp
"""
"""One row whenever a demand figure of an item changed, by a sale that became known or by one that left a window.

`item_buyers_total` adds up each moment's distinct buyers: a customer who comes back counts again.
"""

DERIVED_TABLES = {
    "user_profile": USER_PROFILE,
    "user_history": USER_HISTORY,
    "user_baskets": USER_BASKETS,
    "user_events": USER_EVENTS,
    "user_counters": USER_COUNTERS,
    "item_catalogue": ITEM_CATALOGUE,
    "item_demand": ITEM_DEMAND,
}


@contextmanager
def derived_batches(name: str, log: Path, memory: str = MEMORY) -> Iterator[pa.RecordBatchReader]:
    """Yield the rows of the table behind the view `name`, in order, computed from the canonical log below `log`.

    Args:
        name: a key of `DERIVED_TABLES`.
        log: the folder that holds `events/`, `users/` and `items/`.
        memory: what DuckDB may use, as it writes sizes; what is more goes to a folder beside `log` for the while.

    Raises:
        SourceDataError: the log is not there, or holds something else than canonical Parquet; while rows are read, too.
    """
    files = _files(log)
    with tempfile.TemporaryDirectory(prefix=SPILL_PREFIX, dir=log) as spill:
        limits = {"memory_limit": memory, "temp_directory": spill}
        with duckdb.connect(config=limits) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            try:
                for source, found in files.items():
                    connection.read_parquet(found, union_by_name=True).create_view(source)
                schema = _schema(connection, name)
                rows = connection.sql(DERIVED_TABLES[name]).to_arrow_reader()
            except duckdb.Error as problem:
                raise _unreadable(log, memory, problem) from problem
            yield pa.RecordBatchReader.from_batches(schema, _cast(rows, schema, log, memory))


def derive_table(name: str, log: Path) -> pa.Table:
    """Return all rows of `derived_batches` at once."""
    with derived_batches(name, log) as rows:
        return rows.read_all()


def _files(log: Path) -> dict[str, list[str]]:
    files = {source: sorted(map(str, (log / source).glob("*.parquet"))) for source in ("events", "users", "items")}
    missing = [f"{source}/*.parquet" for source, found in files.items() if not found]
    if missing:
        raise SourceDataError(
            f"There is no whole log below {log}: {', '.join(missing)} missing; expected events/, users/ and items/ "
            "with Parquet files. Run `intent ingest` first."
        )
    return files


def _cast(rows: pa.RecordBatchReader, schema: pa.Schema, log: Path, memory: str) -> Iterator[pa.RecordBatch]:
    try:
        for batch in rows:
            yield batch.cast(schema)
    except OSError as problem:  # so Arrow tells what DuckDB found while it computed
        raise _unreadable(log, memory, problem) from problem


def _unreadable(log: Path, memory: str, problem: Exception) -> SourceDataError:
    cause = str(problem).splitlines()[0].rstrip(".!")  # the rest points into a query that nobody typed
    wanted = "events/, users/ and items/ with canonical Parquet files. Run `intent ingest` again."
    if cause.startswith("Out of Memory"):  # it says so of a full disk, too
        wanted = f"{memory} of memory, and room beside the log for the rest. Free some and run `intent apply` again."
    return SourceDataError(f"The log below {log} cannot be read: {cause}. Expected {wanted}")


def _schema(connection: duckdb.DuckDBPyConnection, name: str) -> pa.Schema:
    """Timestamps in UTC and microseconds whatever DuckDB calls the zone; the rest as it comes."""
    drawn = connection.sql(f"FROM ({DERIVED_TABLES[name]}) LIMIT 0").to_arrow_table().schema
    utc = pa.timestamp("us", tz="UTC")
    return pa.schema([pa.field(f.name, utc if pa.types.is_timestamp(f.type) else f.type) for f in drawn])
