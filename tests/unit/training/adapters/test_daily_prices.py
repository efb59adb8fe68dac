"""Prices that are worked out as the events pass by are those of a plain loop over all of them."""

from statistics import median

import duckdb
import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.adapters import daily_prices
from training.adapters.daily_prices import DAY_US, FILES, DailyPrices, medians

ITEMS = ("a", "b", "c")
MOVING = ("c",)
event = st.tuples(
    st.integers(0, 4 * DAY_US),
    st.sampled_from([*ITEMS, None]),
    st.sampled_from(["purchase", "view", "return"]),
    st.sampled_from([None, -1.0, 0.0, 1.0, 2.0, 4.0]),
    st.sampled_from([None, -3.0, 0.0, 1.0, 2.0, 6.0]),
)
said = st.tuples(st.integers(0, 5 * DAY_US), st.sampled_from(ITEMS))


@given(st.lists(event, max_size=30), st.lists(said, max_size=4), st.integers(1, 5), st.integers(1, 9))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_days_and_changes_are_those_of_a_plain_loop(tmp_path, monkeypatch, events, beside, size, waiting):
    monkeypatch.setattr(daily_prices, "MOST_WAITING", waiting)
    events = sorted(events, key=lambda one: one[0])
    days, changes = told(tmp_path, events, beside, size)
    expected_days, expected_changes = plainly(events, beside)
    assert sorted(days) == expected_days
    assert sorted(changes) == expected_changes


@given(st.lists(st.lists(st.sampled_from([1.0, 2.5, 4.0, np.nan]), min_size=1, max_size=7), min_size=1, max_size=5))
def test_the_median_of_each_group_leaves_out_what_is_missing(groups):
    begins = np.cumsum([0, *(len(group) for group in groups[:-1])])
    found = medians(np.concatenate(groups), np.ones(sum(map(len, groups)), np.int64), begins)
    paid = [[price for price in group if price == price] for group in groups]
    expected = [median(group) if group else np.nan for group in paid]
    np.testing.assert_array_equal(found, expected)


def test_what_is_said_several_times_counts_as_often():
    prices, counts = np.array([1.0, 2.0, 9.0, 5.0]), np.array([1, 1, 3, 2])
    assert medians(prices, counts, np.array([0, 3])).tolist() == [9.0, 5.0]


def told(folder, events, beside, size):
    connection = duckdb.connect()
    connection.execute("CREATE TABLE told (item_id VARCHAR, moment BIGINT, of_event BOOLEAN)")
    connection.execute("CREATE TABLE item_codes (item_id VARCHAR, code BIGINT)")
    connection.executemany("INSERT INTO item_codes VALUES (?, ?)", [[item, k] for k, item in enumerate(ITEMS)])
    for moment, item in beside:
        connection.execute("INSERT INTO told VALUES (?, ?, FALSE)", [item, moment])
    moving = np.array([item in MOVING for item in ITEMS])
    daily = DailyPrices(connection, folder, {"price": "revenue"}, pa.array(ITEMS), moving, bool(beside))
    for begin in range(0, len(events), size):
        daily.add(table(events[begin : begin + size]))
    daily.close()
    return (connection.read_parquet(str(folder / FILES[name])).fetchall() for name in ("price_days", "price_changes"))


def table(events):
    names = ("moment", "item_id", "event_type", "quantity", "revenue")
    kinds = (pa.int64(), pa.string(), pa.string(), pa.float64(), pa.float64())
    columns = [pa.array([one[k] for one in events], kind) for k, kind in enumerate(kinds)]
    return pa.table([pa.chunked_array([column]) for column in columns], names=names)


def plainly(events, beside):
    last, paid = {}, {}
    for moment, item, *_ in [*events, *beside]:
        if item is not None:
            key = (ITEMS.index(item), moment // DAY_US)
            last[key] = max(last.get(key, moment), moment)
    for moment, item, kind, pieces, revenue in events:
        if item is not None and kind == "purchase" and pieces is not None and pieces > 0 and revenue is not None:
            paid.setdefault((ITEMS.index(item), moment // DAY_US), []).append(revenue / pieces)
    days, changes, known = [], [], {}
    for (code, day), moment in sorted(last.items()):
        price = median(paid[code, day]) if (code, day) in paid else None
        if ITEMS[code] in MOVING:
            days.append((code, day, price))
            continue
        now = known.get(code) if price is None else price
        if code not in known or now != known[code]:
            changes.append((code, moment, now))
        known[code] = now
    return sorted(days, key=lambda row: row[:2]), changes
