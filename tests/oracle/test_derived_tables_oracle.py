"""The tables behind the views against plain loops over the same events: totals, windows, and when they were known."""

import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_repo.derived_tables import SPILL_PREFIX, derive_table, derived_batches
from feature_repo.errors import SourceDataError
from feature_repo.events import EVENT_SCHEMA, EVENT_TYPES, ITEM_SCHEMA, USER_SCHEMA, event_key
from feature_repo.transforms.customer import customer_features
from feature_repo.transforms.ragged import Ragged

START = datetime(2001, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

event = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(["01", "1", "å"]),
        "item_id": st.sampled_from(["a", "b", None]),
        "event_type": st.sampled_from(["purchase", "purchase", "return", "view"]),
        "hour": st.integers(0, 60 * 24),
        "late": st.sampled_from([0, 0, 0, 5, 400]),
        "quantity": st.sampled_from([1.0, 2.0, None]),
        "revenue": st.sampled_from([10.0, 2.5, None]),
        "cost": st.sampled_from([None, None, 0.1]),
        "category": st.sampled_from(["x", "y", None]),
        "session_id": st.sampled_from([None, "s1", "s2"]),
        "list_price": st.sampled_from([4.0, 0.0, None]),
    }
)


def write_log(folder, rows) -> list[dict]:
    events = []
    for number, row in enumerate(rows):
        happened = START + row["hour"] * HOUR
        events.append(
            {
                **{k: v for k, v in row.items() if k not in ("hour", "late")},
                "event_id": f"{number:06d}",
                "event_timestamp": happened,
                "created_timestamp": happened + row["late"] * HOUR,
                "currency": "EUR",
            }
        )
    for name, schema, content in (
        ("events", EVENT_SCHEMA, events),
        ("users", USER_SCHEMA, []),
        ("items", ITEM_SCHEMA, []),
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(content, schema=schema), folder / name / "part-0.parquet")
    return events


def total(lines, name) -> float | None:
    """What is known of an amount; None where there are lines and nothing is known, 0 where there are none."""
    known = [e[name] for e in lines if e[name] is not None]
    return pytest.approx(sum(known), abs=1e-9) if known or not lines else None


def basket_of(e) -> str:
    return e["session_id"] or f"{e['event_timestamp']:%Y-%m-%d}"


def known_at(e) -> datetime:
    """The end of the day on which the event became known."""
    created = e["created_timestamp"]
    day = created.replace(hour=0, minute=0, second=0, microsecond=0)
    return day if day == created else day + timedelta(days=1)


def latest(rows, key, value, at):
    """The row that an exact join finds at `at`: known by then, newest event, then known last."""
    seen = [r for r in rows if r[key] == value and max(r["event_timestamp"], r["created_timestamp"]) <= at]
    return max(seen, key=lambda r: (r["event_timestamp"], r["created_timestamp"]), default=None)


@given(st.lists(event, min_size=1, max_size=25), st.integers(0, 90))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_history_is_what_was_known(tmp_path, rows, day) -> None:
    events = write_log(tmp_path, rows)
    at = START.replace(hour=0) + timedelta(days=day)
    found = derive_table("user_history", tmp_path).to_pylist()
    for user in {e["user_id"] for e in events}:
        row = latest(found, "user_id", user, at)
        seen = [e for e in events if e["user_id"] == user and known_at(e) <= at]
        seen = [e for e in seen if e["event_type"] in ("purchase", "return")]
        if not seen:
            assert row is None
            continue
        bought = [e for e in seen if e["event_type"] == "purchase"]
        assert row["event_timestamp"] == max(e["event_timestamp"] for e in seen)
        assert row["lifetime_lines"] == len(bought)
        assert row["lifetime_returns"] == len(seen) - len(bought)
        assert row["lifetime_baskets"] == len({basket_of(e) for e in bought})
        assert row["distinct_items"] == len({e["item_id"] for e in bought} - {None})
        assert row["distinct_categories"] == len({e["category"] for e in bought} - {None})
        for name in ("quantity", "revenue", "cost"):
            assert row[f"lifetime_{name}"] == total(bought, name)
        moments = [round(e["event_timestamp"].timestamp() * 1e6) for e in bought]
        assert row["first_purchase_at"] == (min(moments) if moments else None)
        assert row["last_purchase_at"] == (max(moments) if moments else None)


@given(st.lists(event, min_size=1, max_size=25), st.integers(0, 24 * 90))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_demand_windows_are_exact_at_every_moment(tmp_path, rows, hour) -> None:
    events = write_log(tmp_path, rows)
    at = START + hour * HOUR
    found = derive_table("item_demand", tmp_path).to_pylist()
    for item in {e["item_id"] for e in events} - {None}:
        sold = [e for e in events if e["event_type"] == "purchase" and e["item_id"] == item and known_at(e) <= at]
        row = latest(found, "item_id", item, at)
        assert (row is None) == (not sold)
        if row is None:
            continue
        assert row["item_purchases_total"] == len(sold)
        assert row["item_pieces_total"] == total(sold, "quantity")
        assert row["item_revenue_total"] == total(sold, "revenue")
        for days in (7, 30):
            inside = [e for e in sold if e["event_timestamp"] > at - timedelta(days=days)]
            assert row[f"item_purchases_{days}d"] == len(inside)
            assert row[f"item_pieces_{days}d"] == total(inside, "quantity")
            assert row[f"item_revenue_{days}d"] == total(inside, "revenue")


@given(st.lists(event, min_size=1, max_size=25))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_baskets_equal_a_loop_over_the_events(tmp_path, rows) -> None:
    events = write_log(tmp_path, rows)
    grouped = defaultdict(list)
    for e in events:
        if e["event_type"] == "purchase":
            grouped[e["user_id"], basket_of(e), known_at(e)].append(e)
    amounts = ("quantity", "revenue", "cost")
    wanted = sorted(
        (user, max(e["event_timestamp"] for e in lines), known, len(lines), *(told(lines, name) for name in amounts))
        for (user, _, known), lines in grouped.items()
    )
    found = sorted(
        (
            r["user_id"],
            r["event_timestamp"],
            r["created_timestamp"],
            r["basket_lines"],
            *(written(r, n) for n in amounts),
        )
        for r in derive_table("user_baskets", tmp_path).to_pylist()
    )
    assert found == wanted


def told(lines, name) -> str:
    known = [e[name] for e in lines if e[name] is not None]
    return f"{sum(known):.6f}" if known else "nan"


def written(row, name) -> str:
    assert row[f"basket_{name}"] is not None  # lists hold no nulls
    return f"{row[f'basket_{name}']:.6f}"


def line(**change) -> dict:
    return {"user_id": "1", "item_id": "a", "event_type": "purchase", "hour": 0, "late": 0, "quantity": 1.0,
            "revenue": 10.0, "cost": None, "category": None, "session_id": None} | change  # fmt: skip


def features_of(folder) -> dict:
    """The features of the only customer, three months later."""
    history = derive_table("user_history", folder)
    baskets = derive_table("user_baskets", folder)
    offsets = np.array([0, baskets.num_rows])
    columns = {name: history[name].to_numpy()[-1:] for name in history.column_names if name.startswith("lifetime_")}
    columns |= {
        name: Ragged(baskets[name].to_numpy(), offsets) for name in baskets.column_names if name.startswith("basket_")
    }
    at = np.array([round((START + timedelta(days=90)).timestamp() * 1e6)])
    return customer_features(columns, at).numeric


def test_a_shop_without_costs_earns_no_margin_of_one(tmp_path) -> None:
    write_log(tmp_path, [line(), line(hour=48)])
    assert derive_table("user_history", tmp_path)["lifetime_cost"].to_pylist() == [None, None]
    assert np.isnan(features_of(tmp_path)["margin_share"]).all()


def test_one_unknown_basket_leaves_the_rest_of_a_customers_numbers_known(tmp_path) -> None:
    write_log(tmp_path, [line(), line(hour=48, revenue=None), line(hour=96, revenue=20.0), line(hour=96, revenue=None)])
    found = features_of(tmp_path)
    assert found["revenue_spread"] == [5.0]
    assert found["revenue_last_basket"] == [20.0]
    assert found["lines_per_basket"] == [pytest.approx(4 / 3)]
    assert found["lifetime_revenue"] == [30.0]


@given(st.lists(event, min_size=1, max_size=25), st.integers(0, 24 * 90))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_counters_count_every_event_from_when_it_is_known(tmp_path, rows, hour) -> None:
    events = write_log(tmp_path, rows)
    at = START + hour * HOUR
    found = derive_table("user_counters", tmp_path).to_pylist()
    for user in {e["user_id"] for e in events}:
        row = latest(found, "user_id", user, at)
        seen = [e for e in events if e["user_id"] == user and e["created_timestamp"] <= at]
        assert (row is None) == (not seen)
        if row is None:
            continue
        assert row["event_timestamp"] == max(e["event_timestamp"] for e in seen)
        for kind in EVENT_TYPES:
            assert row[f"{kind}_count"] == sum(e["event_type"] == kind for e in seen)
        moments = [round(e["event_timestamp"].timestamp() * 1e6) for e in seen]
        assert (row["first_event_at"], row["last_event_at"]) == (min(moments), max(moments))


def test_amounts_are_added_up_exactly(tmp_path) -> None:
    write_log(tmp_path, [line(hour=n % 3, revenue=0.1, cost=0.1 if n else None) for n in range(1001)])
    row = derive_table("user_history", tmp_path).to_pylist()[-1]
    assert (row["lifetime_revenue"], row["lifetime_cost"]) == (100.1, 100.0)


def test_sequences_hold_no_nulls(tmp_path) -> None:
    write_log(tmp_path, [{"user_id": "1", "item_id": None, "event_type": "view", "hour": 0, "late": 0, "quantity": None,
                          "revenue": None, "cost": None, "category": None, "session_id": None}])  # fmt: skip
    table = derive_table("user_events", tmp_path)
    assert all(table[name].null_count == 0 for name in table.column_names)


@given(st.lists(event, min_size=1, max_size=25))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_sequence_holds_every_event_as_it_was_told(tmp_path, rows) -> None:
    fields = {"event_type": "event_type", "event_item": "item_id", "event_category": "category"}
    amounts = {f"event_{name}": name for name in ("quantity", "revenue", "cost")} | {"event_price": "list_price"}
    events = {event_key(e["event_id"]): e for e in write_log(tmp_path, rows)}
    found = derive_table("user_events", tmp_path).to_pylist()
    assert len(found) == len(events)
    for row in found:
        e = events[row["event_key"]]
        assert (row["user_id"], row["event_timestamp"]) == (e["user_id"], e["event_timestamp"])
        assert [row[name] for name in fields] == [e[field] or "" for field in fields.values()]
        told = [math.nan if e[field] is None else e[field] for field in amounts.values()]
        np.testing.assert_array_equal([row[name] for name in amounts], told)


def test_streamed_parts_of_before_events_had_prices_are_read(tmp_path) -> None:
    write_log(tmp_path, [line(list_price=3.0)])
    older = pq.read_table(tmp_path / "events" / "part-0.parquet").drop_columns(["list_price"])
    pq.write_table(older, tmp_path / "events" / "stream-000000000001-000000000001.parquet")
    prices = derive_table("user_events", tmp_path)["event_price"].to_pylist()
    np.testing.assert_array_equal(sorted(prices), [3.0, math.nan])


def refusal(folder) -> str:
    with pytest.raises(SourceDataError) as refused:
        derive_table("user_history", folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_missing_log_says_in_one_line_what_is_missing_and_what_to_run(tmp_path) -> None:
    message = refusal(tmp_path)
    assert "events/*.parquet, users/*.parquet, items/*.parquet missing" in message
    assert "Run `intent ingest` first" in message
    write_log(tmp_path, [line()])
    (tmp_path / "users" / "part-0.parquet").unlink()
    assert "below" in refusal(tmp_path)
    assert ": users/*.parquet missing" in refusal(tmp_path)


def test_a_damaged_log_says_so_in_one_line(tmp_path) -> None:
    write_log(tmp_path, [line()])
    part = tmp_path / "events" / "part-0.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[:-8])
    assert "cannot be read" in refusal(tmp_path)
    pq.write_table(pq.read_table(tmp_path / "items" / "part-0.parquet"), part)
    assert "not found" in refusal(tmp_path)  # a column that other tables do not have


def test_a_folder_may_have_any_name(tmp_path) -> None:
    folder = tmp_path / "o'shop"
    write_log(folder, [line()])
    assert derive_table("user_history", folder).num_rows == 1


def many_lines(count: int) -> list[dict]:
    return [
        line()
        | {"user_id": f"customer {number * 7919 % count}", "item_id": f"item {number % 97}", "hour": number % 1440}
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("name", "count", "memory"), [("user_events", 400_000, "64MB"), ("item_demand", 120_000, "112MB")]
)
def test_what_does_not_fit_into_memory_is_the_same_and_leaves_nothing_behind(tmp_path, name, count, memory) -> None:
    write_log(tmp_path, many_lines(count))
    with derived_batches(name, tmp_path, memory=memory) as rows:
        spilled = rows.read_all()
    assert spilled.to_pandas().equals(derive_table(name, tmp_path).to_pandas())  # where NaN equals NaN
    assert not list(tmp_path.glob(f"{SPILL_PREFIX}*"))


def test_too_little_memory_says_how_much_there_was_and_what_to_do(tmp_path) -> None:
    write_log(tmp_path, many_lines(20_000))
    with pytest.raises(SourceDataError) as refused, derived_batches("user_events", tmp_path, memory="1MB") as rows:
        rows.read_all()
    assert "Expected 1MB of memory, and room beside the log" in str(refused.value)
    assert not list(tmp_path.glob(f"{SPILL_PREFIX}*"))
