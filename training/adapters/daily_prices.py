"""What an item cost on each day, worked out while the events pass by in the order of time.

A day is settled once the first event of a later one is met, so memory holds the lines of one day and of one table of
events. Items have numbers here (`code`), for numbers are grouped several times as fast as text.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from training.adapters.stable_order import stable_order

__all__ = ["DAY_US", "FILES", "DailyPrices", "medians"]

DAY_US = 86_400_000_000
MOST_WAITING = 1_000_000  # lines of a day that are kept one by one; beyond it equal ones are counted
WHEN = {"price_days": "period", "price_changes": "moment"}
FILES = {name: f"{name}.parquet" for name in WHEN}
Whole = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Lines:
    """Events about items: `code` and `moment` are int64[n]; `count` int64[n] tells how often just this was said.

    `prices` has float64[n] for each price: what was paid per piece, NaN where the event is no sale or tells no total.
    """

    code: Whole
    moment: Whole
    count: Whole
    prices: tuple[Real, ...]

    def taken(self, chosen: slice) -> "Lines":
        """Return some of the lines."""
        return self._each(lambda values: values[chosen])

    def before(self, others: "Lines") -> "Lines":
        """Return these lines, and the others after them."""
        both = zip(self.prices, others.prices, strict=True)
        return Lines(
            np.concatenate([self.code, others.code]),
            np.concatenate([self.moment, others.moment]),
            np.concatenate([self.count, others.count]),
            tuple(np.concatenate(pair) for pair in both),
        )

    def _each(self, change: Callable[[Any], Any]) -> "Lines":
        prices = tuple(change(price) for price in self.prices)
        return Lines(change(self.code), change(self.moment), change(self.count), prices)


class DailyPrices:
    """Writes what items cost to `FILES` in a folder; after `close` they are whole.

    `totals` has for each price the column of the total that is divided by the pieces. `items` are the ids of all items,
    in the order of their numbers (from 0); memory holds about fifty bytes of each. `moving` is bool[items]: whose days
    are all told (`price_days`: code, period, prices); of the others only days on which a price changes
    (`price_changes`: code, moment, prices). Prices are named as in `totals`. A period is a day (UTC); its price is the
    exact median of what was paid per piece, its moment the last at which anything was said about the item on that day.
    `said_beside`: the view `told` has rows of other files. `kind` is the type of all events, where none has a column
    for it.
    """

    def __init__(
        self,
        connection: Any,
        folder: Path,
        totals: Mapping[str, str],
        items: pa.Array,
        moving: Mask,
        said_beside: bool,
        kind: str | None = None,
    ) -> None:
        self._connection = connection
        self._items = items
        self._totals = tuple(totals.values())
        self._told = {name: _writer(folder / file, WHEN[name], totals) for name, file in FILES.items()}
        self._moving = moving
        self._met = np.zeros(moving.size, bool)
        self._known = tuple(np.full(moving.size, np.nan) for _ in totals)
        self._said_beside = said_beside
        self._kind = kind
        self._settled_until = -(2**62)
        none = np.empty(0, np.int64)
        self._waiting = Lines(none, none, none, tuple(np.empty(0) for _ in totals))

    def add(self, events: pa.Table) -> None:
        """Take the next events in the order of time: `moment`, `item_id`, `event_type`, `quantity` and the totals."""
        lines = self._waiting.before(self._read(events))
        if not lines.moment.size:
            return
        today = int(lines.moment[-1]) // DAY_US
        begin = int(np.searchsorted(lines.moment, today * DAY_US))
        self._waiting = self._packed(lines.taken(slice(begin, None)))
        self._settle(lines.taken(slice(begin)), today)

    def close(self) -> None:
        """Settle what is left: the last day, and what other files say of the days after it."""
        self._settle(self._waiting, 2**62)
        for writer in self._told.values():
            writer.close()

    def _read(self, events: pa.Table) -> Lines:
        items = events["item_id"].combine_chunks()
        if items.null_count:
            events = events.filter(pc.is_valid(items))
            items = events["item_id"].combine_chunks()
        pieces = _numbers(events["quantity"])
        pieces[~self._sold(events) | (pieces <= 0)] = np.nan
        prices = tuple(_numbers(events[total]) / pieces for total in self._totals)
        moments = events["moment"].to_numpy()
        return Lines(self._codes(items), moments, np.ones(moments.size, np.int64), prices)

    def _sold(self, events: pa.Table) -> Mask:
        if self._kind is not None:
            return np.full(events.num_rows, self._kind == "purchase")
        sold: Mask = pc.equal(events["event_type"], "purchase").to_numpy()
        return sold

    def _codes(self, items: pa.Array) -> Whole:
        encoded = items.dictionary_encode()
        codes = pc.index_in(encoded.dictionary, self._items).to_numpy()
        return codes[encoded.indices.to_numpy()].astype(np.int64)

    def _packed(self, lines: Lines) -> Lines:
        """The lines of one day; where they are many, a line for each item and price."""
        if lines.code.size <= MOST_WAITING:
            return lines.taken(slice(None))
        names = [f"price_{place}" for place in range(len(lines.prices))]
        columns = [lines.code, lines.moment, lines.count, *lines.prices]
        day = pa.table(dict(zip(["code", "moment", "n", *names], columns, strict=True)))
        query = f"SELECT code, max(moment) AS moment, sum(n)::BIGINT AS n, {', '.join(names)} FROM day GROUP BY ALL"
        code, moment, count, *prices = (column.to_numpy() for column in self._ask(query, day=day).columns)
        return Lines(code, moment, count, tuple(prices))

    def _settle(self, lines: Lines, today: int) -> None:
        """Tell of every day before `today`, of which all lines are here."""
        if self._said_beside:
            lines = lines.before(self._beside(today))
        self._settled_until = today
        if not lines.code.size:
            return
        first = int(lines.moment.min()) // DAY_US
        day = lines.moment // DAY_US - first
        span = int(day.max()) + 1
        key = lines.code * span + day
        order = stable_order(key)
        key = key[order]
        begins = np.flatnonzero(np.diff(key, prepend=-1))
        prices = [medians(price[order], lines.count[order], begins) for price in lines.prices]
        code, moment = key[begins] // span, np.maximum.reduceat(lines.moment[order], begins)
        moving = self._moving[code]
        self._tell("price_days", code, key[begins] % span + first, prices, moving)
        changed, known = self._changed(code, prices)
        self._tell("price_changes", code, moment, known, changed & ~moving)

    def _beside(self, today: int) -> Lines:
        """What files about items say on these days: no price, but it counts when it was said."""
        period = f"moment // {DAY_US}"
        query = f"""SELECT code, max(moment) AS moment FROM told JOIN item_codes USING (item_id) WHERE NOT of_event
            AND {period} >= {self._settled_until} AND {period} < {today} GROUP BY code, {period}"""
        code, moment = (column.to_numpy() for column in self._ask(query).columns)
        return Lines(
            code, moment, np.ones(code.size, np.int64), tuple(np.full(code.size, np.nan) for _ in self._totals)
        )

    def _changed(self, code: Whole, prices: Sequence[Real]) -> tuple[Mask, list[Real]]:
        """Which of the rows (by code, then by day) say something new, or are the first of their item.

        And the prices that are known at each row: where a day tells only one of them, the other still holds.
        """
        known_now = []
        begins = np.diff(code, prepend=-1) != 0
        ends = np.append(begins[1:], True)
        changed = begins & ~self._met[code]
        self._met[code[ends]] = True
        for known, price in zip(self._known, prices, strict=True):
            then = np.where(begins & np.isnan(price), known[code], price)
            said = np.where(begins | ~np.isnan(then), np.arange(code.size), 0)
            now = then[np.maximum.accumulate(said)]
            before = np.where(begins, known[code], np.roll(now, 1))
            changed |= (now != before) & ~np.isnan(now)
            known[code[ends]] = now[ends]
            known_now.append(now)
        return changed, known_now

    def _tell(self, table: str, code: Whole, when: Whole, prices: Sequence[Real], chosen: Mask) -> None:
        if chosen.any():
            paid = [pa.array(price[chosen], from_pandas=True) for price in prices]
            writer = self._told[table]
            writer.write_table(pa.table([code[chosen], when[chosen], *paid], schema=writer.schema))

    def _ask(self, query: str, **tables: pa.Table) -> pa.Table:
        for name, table in tables.items():
            self._connection.register(name, table)
        found = self._connection.sql(query).to_arrow_table()
        for name in tables:
            self._connection.unregister(name)
        return found


def _writer(file: Path, when: str, prices: Iterable[str]) -> pq.ParquetWriter:
    """DuckDB reads Parquet far faster than it takes rows into a table of its own."""
    fields = [("code", pa.int64()), (when, pa.int64()), *((name, pa.float64()) for name in prices)]
    return pq.ParquetWriter(file, pa.schema(fields), compression="none", use_dictionary=False, write_statistics=False)


def medians(prices: Real, counts: Whole, begins: Whole) -> Real:
    """Return float64[groups], the exact median price of each group, NaN where it has none.

    `prices` are float64[n], NaN where there is none, each said `counts` (int64[n]) times; group g is from `begins[g]`
    up to the next one.
    """
    least, most = np.fmin.reduceat(prices, begins), np.fmax.reduceat(prices, begins)
    several = least < most
    if several.any():
        group = np.repeat(np.arange(begins.size), np.diff(begins, append=prices.size))
        found = np.flatnonzero(several[group] & ~np.isnan(prices))
        least[several] = _middle(group[found], prices[found], counts[found])
    return least


def _middle(group: Whole, prices: Real, counts: Whole) -> Real:
    """The median of each group, in the order of the groups, which have to be ascending."""
    order = np.argsort(prices)
    order = order[stable_order(group[order])]
    prices, reached = prices[order], np.cumsum(counts[order])
    ends = np.flatnonzero(np.diff(group, append=-1))
    before = np.append(0, reached[ends[:-1]])
    total = reached[ends] - before
    low = prices[np.searchsorted(reached, before + (total + 1) // 2)]
    high = prices[np.searchsorted(reached, before + total // 2 + 1)]
    return np.where(low == high, low, low + (high - low) * 0.5)


def _numbers(column: pa.ChunkedArray) -> Real:
    """A copy, with NaN for null."""
    return np.array(pc.fill_null(column, np.nan).to_numpy(), np.float64)
