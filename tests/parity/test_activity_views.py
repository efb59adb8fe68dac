"""The on-demand views equal the bulk path and a plain loop: offline through our store, online through SQLite."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_repo.data_sources import EVENTS_KEPT
from feature_repo.errors import FeatureError
from feature_repo.events import EVENT_SCHEMA, EVENT_TYPES, ITEM_SCHEMA, TIMESTAMP, USER_SCHEMA
from feature_repo.transforms.activity import ACTIVITY_FIELDS, ACTIVITY_NAMES, activity_features
from feature_repo.transforms.affinity import AFFINITY_FIELDS, AFFINITY_NAMES, affinity_features
from tests.activity_loop import expected
from training.dataset import point_in_time
from training.dataset.bulk_views import can_compute
from training.dataset.log_manifest import hash_log, write_log_manifest
from training.dataset.point_in_time import join_features
from training.dataset.service_definition import describe_service
from training.pipelines import feature_store
from training.progress import Silent

NAMES = [*ACTIVITY_NAMES, *AFFINITY_NAMES]
START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)
CATALOGUE = {"tea": "drinks", "milk": "drinks", "soap": "bath", "gift": None}


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def write(out, name, rows, schema) -> None:
    (out / name).mkdir(parents=True, exist_ok=True)
    full = [{field: row.get(field) for field in schema.names} for row in rows]
    pq.write_table(pa.Table.from_pylist(full, schema=schema), out / name / "part-0.parquet")


def shop_events(customers=30, seed=3):
    """Busy customers and quiet ones, one with more events than are kept and one who comes only after END."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(customers):
        count = EVENTS_KEPT + 40 if number == 0 else int(random.integers(1, 60))
        span = [60 * 86_400, 7200][number % 2]
        begin = END + timedelta(days=1) if number == 1 else END - timedelta(seconds=span)
        for seconds in np.sort(random.integers(0, span, count)):
            kind = str(random.choice(EVENT_TYPES))
            item = None if kind == "search" else str(random.choice(list(CATALOGUE)))
            moment = begin + timedelta(seconds=int(seconds))
            paid = float(random.integers(1, 900)) / 100 if kind == "purchase" and random.random() < 0.8 else None
            rows.append({
                "event_id": f"{len(rows):06d}", "user_id": f"u{number}", "item_id": item, "event_type": kind,
                "event_timestamp": moment, "created_timestamp": moment,
                "revenue": paid, "category": CATALOGUE.get(item),
            })  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder with everything derived and registered, its log, and the store as somebody else opens it."""
    out = tmp_path_factory.mktemp("activity")
    log = shop_events()
    since = {"event_timestamp": START, "created_timestamp": START}
    known = [{"item_id": item, "category": category, **since} for item, category in CATALOGUE.items()]
    write(out, "events", log, EVENT_SCHEMA)
    write(out, "users", [], USER_SCHEMA)
    write(out, "items", known, ITEM_SCHEMA)
    write_log_manifest(out, hash_log(out), {})
    feature_store.derive_features(out, Silent())
    feature_store.apply(feature_store.open_store(out), out)
    return out, log, feature_store.open_store(out)


def anchors(random, count=120):
    """Pairs of customers and items, unknown ones among them, at moments of which some are a customer's own."""
    at = pd.to_datetime(END) - pd.to_timedelta(random.integers(0, 40 * 86_400 * 10**6, count), unit="us")
    at = at.where(random.random(count) < 0.7, pd.to_datetime(END))
    users = [f"u{number}" for number in random.integers(0, 32, count)]
    items = random.choice([*CATALOGUE, "nobody knows"], count)
    frame = pd.DataFrame({"user_id": users, "item_id": items, "event_timestamp": at.astype("datetime64[us, UTC]")})
    return frame.assign(request_at=frame["event_timestamp"].astype("int64"))


def in_bulk(store, rows) -> dict:
    """The bulk path: one join for the lists, then the transforms on Arrow."""
    fields = sorted({*ACTIVITY_FIELDS, *AFFINITY_FIELDS})
    names = [f"user_events:{field}" for field in fields] + ["item_catalogue:item_category"]
    joined = store.get_historical_features(rows, features=names).to_arrow()
    columns = {name: joined[name] for name in joined.column_names}
    at = rows["request_at"].to_numpy(np.int64)
    return activity_features(columns, at) | affinity_features(columns, at)


def assert_same(found, wanted) -> None:
    for name in NAMES:
        np.testing.assert_array_equal(np.asarray(found[name], np.float64), wanted[name], err_msg=name)


def loop_over(log, row) -> dict:
    """The definitions over the log itself, as it was known at the row's moment."""
    mine = [e for e in log if e["user_id"] == row.user_id and micros(e["event_timestamp"]) <= row.request_at]
    told = [
        (micros(e["event_timestamp"]), e["event_type"], e.get("item_id"), e.get("category"),
         math.nan if e.get("revenue") is None else e["revenue"])
        for e in mine
    ]  # fmt: skip
    return expected(told[-EVENTS_KEPT:], row.request_at, row.item_id, CATALOGUE.get(row.item_id))


def assert_as_the_loop(found, log, rows) -> None:
    for place, row in enumerate(rows.itertuples()):
        for name, value in loop_over(log, row).items():
            assert found[name][place] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), (name, row)


def test_offline_the_views_give_what_the_bulk_path_gives_and_the_loop(run) -> None:
    _, log, store = run
    rows = anchors(np.random.default_rng(5))
    service = store.get_feature_service("customer_activity")
    found = store.get_historical_features(rows, features=service).to_df()
    bulk = in_bulk(store, rows)
    assert_same(found, bulk)
    assert_as_the_loop(bulk, log, rows)


def test_a_training_set_holds_what_the_views_give_computed_in_bulk(run, monkeypatch) -> None:
    _, _, store = run
    rows = anchors(np.random.default_rng(8)).drop(columns="request_at")
    service = describe_service(store, "customer_activity")
    bulk = join_features(store, service, pa.Table.from_pandas(rows, preserve_index=False))
    monkeypatch.setattr(point_in_time, "can_compute", lambda on_demand: False)
    through_feast = join_features(store, service, pa.Table.from_pandas(rows, preserve_index=False))
    assert set(bulk.column_names) == {"user_id", "item_id", "event_timestamp", *NAMES}
    assert bulk.select(through_feast.column_names).equals(through_feast)
    assert bulk["item_affinity"].null_count > 0


def test_a_view_with_another_function_is_left_to_feast(run) -> None:
    on_demand = describe_service(run[2], "customer_activity").on_demand
    assert can_compute(on_demand)
    assert not can_compute(on_demand | {"user_activity": on_demand["user_activity"] | {"function": "another"}})
    assert not can_compute(on_demand | {"request_context": {"function": "none"}})
    assert not can_compute({})


def test_online_the_views_give_what_the_bulk_path_gives(run) -> None:
    out, log, store = run
    feature_store.materialise(out, END, Silent(), online=feature_store.online_path(out))
    rows = pd.DataFrame({"user_id": [f"u{n}" for n in range(32) for _ in range(5)], "item_id": [*CATALOGUE, "?"] * 32})
    rows = rows.assign(event_timestamp=pd.to_datetime(END), request_at=micros(END))
    service = store.get_feature_service("customer_activity")
    asked = rows[["user_id", "item_id", "request_at"]].to_dict("records")
    found = store.get_online_features(features=service, entity_rows=asked).to_dict()
    bulk = in_bulk(store, rows)
    assert_same(found, bulk)
    assert_as_the_loop(bulk, log, rows)


def test_one_row_online_gives_the_bits_of_the_batch(run) -> None:
    out, _, store = run
    feature_store.materialise(out, END, Silent(), online=feature_store.online_path(out))
    at = micros(END) + 77
    rows = [{"user_id": f"u{n}", "item_id": "tea", "request_at": at} for n in (0, 1, 2, 3, 31)]
    names = [f"user_activity:{n}" for n in ACTIVITY_NAMES] + [f"user_item_affinity:{n}" for n in AFFINITY_NAMES]
    together = store.get_online_features(features=names, entity_rows=rows).to_dict()
    for place, row in enumerate(rows):
        alone = store.get_online_features(features=names, entity_rows=[row]).to_dict()
        for name in NAMES:
            assert np.float64(alone[name][0]).tobytes() == np.float64(together[name][place]).tobytes(), name


moments = st.integers(0, 40 * 86_400 * 2).map(lambda half_seconds: START + timedelta(seconds=half_seconds / 2))
lines = st.tuples(
    st.sampled_from(["u1", "u2"]), moments, st.sampled_from(EVENT_TYPES), st.sampled_from([None, *CATALOGUE]),
    st.one_of(st.none(), st.integers(0, 10**6).map(float)),
)  # fmt: skip


@given(
    st.lists(lines, max_size=20), st.lists(st.tuples(moments, st.sampled_from(list(CATALOGUE))), min_size=1, max_size=4)
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_log_the_views_give_what_the_loop_gives(run, lines, asked) -> None:
    out, _, store = run
    log = [
        {"user_id": user, "event_timestamp": at, "event_type": kind, "item_id": item, "category": CATALOGUE.get(item),
         "revenue": paid}
        for user, at, kind, item, paid in sorted(lines, key=lambda line: line[1])
    ]  # fmt: skip
    file = out / "features" / "user_events.parquet"
    before = file.read_bytes()
    try:
        pq.write_table(as_source(log), file)
        rows = pd.DataFrame([(user, item, at) for user in ("u1", "u2", "u3") for at, item in asked])
        rows.columns = ["user_id", "item_id", "event_timestamp"]
        rows = rows.assign(request_at=[micros(at) for at in rows["event_timestamp"]])
        service = store.get_feature_service("customer_activity")
        assert_as_the_loop(store.get_historical_features(rows, features=service).to_df(), log, rows)
    finally:
        file.write_bytes(before)


def as_source(log) -> pa.Table:
    """The rows behind `user_events`, as `derived_tables.USER_EVENTS` makes them."""
    at = [e["event_timestamp"] for e in log]
    columns = {"event_item": "item_id", "event_category": "category"}
    nothing = pa.array([math.nan] * len(log), pa.float64())
    return pa.table({
        "user_id": pa.array([e["user_id"] for e in log], pa.string()),
        "event_timestamp": pa.array(at, TIMESTAMP), "created_timestamp": pa.array(at, TIMESTAMP),
        "event_at": pa.array([micros(moment) for moment in at], pa.int64()),
        "event_type": pa.array([e["event_type"] for e in log], pa.string()),
        **{name: pa.array([e[field] or "" for e in log], pa.string()) for name, field in columns.items()},
        "event_quantity": nothing,
        "event_revenue": pa.array([math.nan if e["revenue"] is None else e["revenue"] for e in log], pa.float64()),
        "event_cost": nothing,
        "event_price": nothing,
    })  # fmt: skip


def test_rows_whose_item_has_another_name_are_refused(run) -> None:
    view = run[2].get_on_demand_feature_view("user_item_affinity")
    rows = {"user_id": ["u1"], "request_at": [0], "item_category": ["drinks"], **{f: [[]] for f in AFFINITY_FIELDS}}
    with pytest.raises(FeatureError, match="have no column 'item_id'"):
        view.feature_transformation.udf(pd.DataFrame(rows))
