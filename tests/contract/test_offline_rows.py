"""What every offline store owes its caller: the rows that came in, each with what was known at its moment.

The cases are those in which Feast 0.67's local stores lose rows or fail. They run over `AsofOfflineStore` and over
Feast's own `duckdb` store, whose gaps are strict expected failures: the day one is closed, this file says so.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Float64, Int64, String
from feast.value_type import ValueType

from intent_stores.errors import EntityRowsError

ASOF = "intent_stores.offline_asof.AsofOfflineStore"
T0 = datetime(2024, 3, 1, 12, tzinfo=UTC)
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
ITEM = Entity(name="item", join_keys=["item_id"], value_type=ValueType.INT64)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=float(minutes))


def moments(*minutes: float | None, unit: str = "us") -> pa.Array:
    values = [None if m is None else at(m) for m in minutes]
    return pa.array(values, pa.timestamp("us", tz="UTC")).cast(pa.timestamp(unit, tz="UTC"))


def entity_rows(users: Sequence[Any], minutes: Sequence[float], **columns: Any) -> pd.DataFrame:
    stamps = pd.to_datetime([at(m) for m in minutes], utc=True)
    return pd.DataFrame({"user_id": users, "event_timestamp": stamps, **columns})


def lacks(reason: str) -> Any:
    """Mark Feast's own store as failing a case, for a stated reason."""
    return pytest.param("duckdb", marks=pytest.mark.xfail(strict=True, reason=reason))


BOTH = [ASOF, "duckdb"]
Write = Callable[..., FeatureStore]


@pytest.fixture
def repository(tmp_path: Path) -> Write:
    def build(store: str, objects: Sequence[Any], **settings: Any) -> FeatureStore:
        if store == "duckdb":
            pytest.importorskip("ibis")
        lines = "".join(f"    {name}: {value}\n" for name, value in settings.items())
        (tmp_path / "feature_store.yaml").write_text(
            "project: contract\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"
            f"online_store: {{type: sqlite, path: online.db}}\noffline_store:\n    type: {store}\n{lines}"
        )
        feast = FeatureStore(repo_path=str(tmp_path))
        feast.apply(list(objects))
        return feast

    return build


def view(
    folder: Path,
    name: str,
    table: pa.Table,
    fields: dict[str, Any],
    entities: Sequence[Entity] = (USER,),
    **options: Any,
) -> FeatureView:
    path = folder / f"{name}.parquet"
    pq.write_table(table, path)
    source_options = {k: options.pop(k) for k in ("created_timestamp_column", "field_mapping") if k in options}
    options.setdefault("ttl", timedelta(minutes=60))
    return FeatureView(
        name=name,
        entities=list(entities),
        schema=[Field(name=key, dtype=kind) for key, kind in fields.items()],
        source=FileSource(name=f"{name}_source", path=str(path), timestamp_field="event_timestamp", **source_options),
        **options,
    )


def user_scores(folder: Path, **options: Any) -> FeatureView:
    table = pa.table(
        {"user_id": ["a", "a", "b"], "event_timestamp": moments(0, 30, 100), "score": pa.array([1, 2, 3], pa.int64())}
    )
    return view(folder, "scores", table, {"score": Int64}, **options)


@pytest.mark.parametrize("store", BOTH)
def test_a_row_whose_features_expired_or_are_in_the_future_stays_with_a_null(
    store: str, repository: Write, tmp_path: Path
) -> None:
    feast = repository(store, [USER, user_scores(tmp_path)])
    rows = entity_rows(["a", "a", "b"], [31, 500, 5], label=[7, 8, 9])
    result = feast.get_historical_features(rows, ["scores:score"]).to_df().sort_values("label")
    assert result["label"].tolist() == [7, 8, 9]
    np.testing.assert_array_equal(result["score"].to_numpy(dtype=float), [2, np.nan, np.nan])


@pytest.mark.parametrize("order", [["scores:score", "prices:price"], ["prices:price", "scores:score"]])
@pytest.mark.parametrize("store", BOTH)
def test_a_slate_of_items_at_one_moment_keeps_each_item(
    store: str, order: list[str], repository: Write, tmp_path: Path
) -> None:
    prices = pa.table({"item_id": [1, 2], "event_timestamp": moments(0, 0), "price": [10.0, 20.0]})
    feast = repository(
        store,
        [USER, ITEM, user_scores(tmp_path), view(tmp_path, "prices", prices, {"price": Float64}, entities=[ITEM])],
    )
    rows = entity_rows(["a", "a"], [1, 1], item_id=[1, 2])
    result = feast.get_historical_features(rows, order).to_df().sort_values("item_id")
    assert result["price"].tolist() == [10.0, 20.0]
    assert result["score"].tolist() == [1, 1]


@pytest.mark.parametrize("store", BOTH)
def test_equal_keys_and_moments_with_different_labels_are_different_rows(
    store: str, repository: Write, tmp_path: Path
) -> None:
    feast = repository(store, [USER, user_scores(tmp_path)])
    rows = entity_rows(["a"] * 4, [1] * 4, label=[0, 1, 1, 0])
    result = feast.get_historical_features(rows, ["scores:score"]).to_df()
    assert sorted(result["label"]) == [0, 0, 1, 1]
    assert result["score"].tolist() == [1] * 4


@pytest.mark.parametrize("store", [ASOF, lacks("drops its own suffixed columns by name (ibis.py:503), no issue yet")])
def test_a_feature_may_be_called_something_y(store: str, repository: Write, tmp_path: Path) -> None:
    table = pa.table({"user_id": ["a"], "event_timestamp": moments(0), "geo_y": [4.5], "geo_x": [5.5]})
    feast = repository(store, [USER, view(tmp_path, "places", table, {"geo_y": Float64, "geo_x": Float64})])
    result = feast.get_historical_features(entity_rows(["a"], [1]), ["places:geo_y", "places:geo_x"]).to_df()
    assert result[["geo_y", "geo_x"]].to_numpy().tolist() == [[4.5, 5.5]]


@pytest.mark.parametrize("store", BOTH)
def test_among_equal_event_times_the_latest_created_row_wins(store: str, repository: Write, tmp_path: Path) -> None:
    count = 500
    created = np.random.default_rng(5).permutation(count)
    table = pa.table(
        {
            "user_id": ["a"] * count,
            "event_timestamp": moments(*[0] * count),
            "created": moments(*(created - 1_000)),
            "score": created,
        }
    )
    feast = repository(
        store, [USER, view(tmp_path, "ties", table, {"score": Int64}, created_timestamp_column="created")]
    )
    result = feast.get_historical_features(entity_rows(["a"], [5]), ["ties:score"]).to_df()
    assert result["score"].tolist() == [count - 1]


@pytest.mark.parametrize("store", [ASOF])
def test_among_wholly_equal_times_the_last_row_of_the_file_wins(store: str, repository: Write, tmp_path: Path) -> None:
    table = pa.table({"user_id": ["a"] * 1_000, "event_timestamp": moments(*[0] * 1_000), "score": range(1_000)})
    feast = repository(store, [USER, view(tmp_path, "ties", table, {"score": Int64})])
    for _ in range(3):
        result = feast.get_historical_features(entity_rows(["a"], [5]), ["ties:score"]).to_df()
        assert result["score"].tolist() == [999]


@pytest.mark.parametrize("store", BOTH)
def test_a_row_without_a_key_stays_with_a_null(store: str, repository: Write, tmp_path: Path) -> None:
    table = pa.table({"item_id": [1, None], "event_timestamp": moments(0, 0), "price": [10.0, 20.0]})
    prices = view(tmp_path, "prices", table, {"price": Float64}, entities=[ITEM])
    feast = repository(store, [ITEM, prices])
    rows = entity_rows(["a", "b"], [1, 1], item_id=[1, None])
    result = feast.get_historical_features(rows, ["prices:price"]).to_df().sort_values("user_id")
    np.testing.assert_array_equal(result["price"].to_numpy(dtype=float), [10.0, np.nan])


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kolkata", "America/New_York"])
@pytest.mark.parametrize("store", BOTH)
def test_moments_mean_the_same_in_every_zone_and_naive_ones_are_utc(
    store: str, zone: str | None, repository: Write, tmp_path: Path
) -> None:
    feast = repository(store, [USER, user_scores(tmp_path)])
    stamps = pd.to_datetime([at(29), at(30)], utc=True)
    stamps = stamps.tz_localize(None) if zone is None else stamps.tz_convert(zone)
    rows = pd.DataFrame({"user_id": ["a", "a"], "event_timestamp": stamps})
    result = feast.get_historical_features(rows, ["scores:score"]).to_df().sort_values("event_timestamp")
    assert result["score"].tolist() == [1, 2]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("store", BOTH)
def test_entity_moments_of_any_resolution(store: str, unit: str, repository: Write, tmp_path: Path) -> None:
    feast = repository(store, [USER, user_scores(tmp_path)])
    rows = entity_rows(["a", "a"], [29, 30])
    rows["event_timestamp"] = rows["event_timestamp"].astype(f"datetime64[{unit}, UTC]")
    result = feast.get_historical_features(rows, ["scores:score"]).to_df().sort_values("event_timestamp")
    assert result["score"].tolist() == [1, 2]


@pytest.mark.parametrize("zoned", [True, False])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("store", [ASOF])
def test_feature_times_of_any_resolution(store: str, unit: str, zoned: bool, repository: Write, tmp_path: Path) -> None:
    stamps = moments(0, 30, unit=unit)
    stamps = stamps if zoned else stamps.cast(pa.timestamp(unit))
    table = pa.table({"user_id": ["a", "a"], "event_timestamp": stamps, "score": [1, 2]})
    feast = repository(store, [USER, view(tmp_path, "scores", table, {"score": Int64})])
    rows = entity_rows(["a", "a", "a"], [29, 30, 90.000001])
    result = feast.get_historical_features(rows, ["scores:score"]).to_df()
    np.testing.assert_array_equal(result["score"], [1, 2, np.nan])
    feast.materialize(at(-10), at(40))
    online = feast.get_online_features(["scores:score"], [{"user_id": "a"}]).to_dict()
    assert online["score"] == [2]


@pytest.mark.parametrize(
    "store",
    [ASOF, lacks("casts TIMESTAMPTZ_NS to TIMESTAMP (ibis.py:96), https://github.com/duckdb/duckdb/issues/25334")],
)
def test_nanosecond_parquet_is_materialised(store: str, repository: Write, tmp_path: Path) -> None:
    table = pa.table({"user_id": ["a", "a"], "event_timestamp": moments(0, 30, unit="ns"), "score": [1, 2]})
    feast = repository(store, [USER, view(tmp_path, "scores", table, {"score": Int64})])
    feast.materialize(at(-10), at(40))
    assert feast.get_online_features(["scores:score"], [{"user_id": "a"}]).to_dict()["score"] == [2]


@pytest.mark.parametrize("store", [ASOF])
def test_a_nanosecond_feature_is_not_known_before_its_microsecond_is_over(
    store: str, repository: Write, tmp_path: Path
) -> None:
    nanos = pa.array([int(T0.timestamp()) * 10**9 + 1], pa.int64()).cast(pa.timestamp("ns", tz="UTC"))
    table = pa.table({"user_id": ["a"], "event_timestamp": nanos, "score": [1]})
    feast = repository(store, [USER, view(tmp_path, "scores", table, {"score": Int64})])
    rows = entity_rows(["a", "a"], [0, 1 / 60e6])
    result = feast.get_historical_features(rows, ["scores:score"]).to_df()
    np.testing.assert_array_equal(result["score"], [np.nan, 1])


@pytest.mark.parametrize(
    "store",
    [ASOF, lacks("get_historical_features takes no start_date, https://github.com/feast-dev/feast/issues/5832")],
)
def test_without_entity_rows_each_key_seen_between_two_dates_gets_one_row(
    store: str, repository: Write, tmp_path: Path
) -> None:
    feast = repository(store, [USER, user_scores(tmp_path)])
    job = feast.get_historical_features(features=["scores:score"], start_date=at(-5), end_date=at(45))
    result = job.to_df()
    assert result[["user_id", "score"]].to_numpy().tolist() == [["a", 2]]
    assert result["event_timestamp"].tolist() == [pd.Timestamp(at(45))]


@pytest.mark.parametrize(
    "store", [ASOF, lacks("accepts pandas only (ibis.py: entity_df), https://github.com/feast-dev/feast/issues/5596")]
)
def test_entity_rows_may_be_sql(store: str, repository: Write, tmp_path: Path) -> None:
    rows = entity_rows(["b", "a"], [101, 31], label=[1, 2])
    rows.to_parquet(tmp_path / "rows.parquet", coerce_timestamps="us")
    feast = repository(store, [USER, user_scores(tmp_path)])
    query = "SELECT user_id, event_timestamp, label * 10 AS label FROM read_parquet('rows.parquet')"
    result = feast.get_historical_features(query, ["scores:score"]).to_df()
    assert result[["label", "score"]].to_numpy().tolist() == [[10, 3], [20, 2]]


# Feast's duckdb keeps small cases in order and promises nothing: it can neither pass nor fail dependably.
@pytest.mark.parametrize("store", [ASOF])
def test_rows_come_back_in_the_order_in_which_they_came(store: str, repository: Write, tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    users, minutes = generator.choice(["a", "b", "c", "d"], 3_000), generator.integers(-50, 400, 3_000)
    feast = repository(store, [USER, user_scores(tmp_path)])
    rows = entity_rows(users, minutes, label=np.arange(3_000))
    result = feast.get_historical_features(rows, ["scores:score"]).to_df()
    assert result["label"].tolist() == list(range(3_000))


@pytest.mark.parametrize("store", [ASOF, lacks("the entity rows pass through Arrow and back")])
def test_the_callers_columns_come_back_with_their_types(store: str, repository: Write, tmp_path: Path) -> None:
    feast = repository(store, [USER, user_scores(tmp_path)])
    rows = entity_rows(["a", "b"], [1, 2])
    rows["kind"] = pd.Categorical(["x", "y"], categories=["y", "x", "z"], ordered=True)
    rows["nullable"] = pd.array([1, None], dtype="Int32")
    rows["flag"] = pd.array([True, None], dtype="boolean")
    rows["small"] = np.array([1, 2], dtype="int8")
    rows.index = [17, 4]
    result = feast.get_historical_features(rows, ["scores:score"]).to_df()
    pd.testing.assert_frame_equal(result[rows.columns], rows.reset_index(drop=True))


@pytest.mark.parametrize("store", BOTH)
def test_the_ttl_is_exact_to_the_microsecond_and_includes_its_edge(
    store: str, repository: Write, tmp_path: Path
) -> None:
    feast = repository(store, [USER, user_scores(tmp_path, ttl=timedelta(microseconds=1))])
    rows = entity_rows(["a", "a", "a"], [0, 1 / 60e6, 2 / 60e6])
    result = feast.get_historical_features(rows, ["scores:score"]).to_df()
    np.testing.assert_array_equal(result["score"].to_numpy(dtype=float), [1, 1, np.nan])


@pytest.mark.parametrize("ttl", [None, timedelta(0)])
@pytest.mark.parametrize("store", BOTH)
def test_no_ttl_and_a_ttl_of_zero_mean_forever(
    store: str, ttl: timedelta | None, repository: Write, tmp_path: Path
) -> None:
    feast = repository(store, [USER, user_scores(tmp_path, ttl=ttl)])
    result = feast.get_historical_features(entity_rows(["a"], [10**6]), ["scores:score"]).to_df()
    assert result["score"].tolist() == [2]


def backfilled(folder: Path) -> FeatureView:
    table = pa.table(
        {
            "user_id": ["a", "a", "a"],
            "event_timestamp": moments(0, 10, 20),
            "created": moments(0, 40, 25),
            "score": pa.array([1, 2, 3], pa.int64()),
        }
    )
    return view(folder, "late", table, {"score": Int64}, created_timestamp_column="created")


@pytest.mark.parametrize(
    "store", [ASOF, lacks("does not filter by default, https://github.com/feast-dev/feast/issues/6615")]
)
def test_a_row_counts_only_from_its_creation_on(store: str, repository: Write, tmp_path: Path) -> None:
    feast = repository(store, [USER, backfilled(tmp_path)])
    result = feast.get_historical_features(entity_rows(["a"] * 4, [15, 24, 25, 45]), ["late:score"]).to_df()
    assert result["score"].tolist() == [1, 1, 3, 3]


@pytest.mark.parametrize("explicit", [False, True])
def test_the_filter_can_be_switched_off_and_on_again_per_call(
    explicit: bool, repository: Write, tmp_path: Path
) -> None:
    feast = repository(ASOF, [USER, backfilled(tmp_path)], filter_by_created_timestamp="false")
    job = feast.get_historical_features(
        entity_rows(["a"] * 3, [15, 24, 45]), ["late:score"], filter_by_created_timestamp=explicit
    )
    assert job.to_df()["score"].tolist() == ([1, 1, 3] if explicit else [2, 3, 3])


@pytest.mark.parametrize("store", BOTH)
def test_composite_keys_do_not_run_together(store: str, repository: Write, tmp_path: Path) -> None:
    shop = Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.STRING)
    table = pa.table(
        {"user_id": ["1", "11"], "shop_id": ["11", "1"], "event_timestamp": moments(0, 0), "score": [1, 2]}
    )
    feast = repository(store, [USER, shop, view(tmp_path, "pairs", table, {"score": Int64}, entities=[USER, shop])])
    rows = entity_rows(["11", "1", "1"], [1, 1, 1], shop_id=["1", "11", "1"])
    result = feast.get_historical_features(rows, ["pairs:score"]).to_df().sort_values(["user_id", "shop_id"])
    np.testing.assert_array_equal(result["score"].to_numpy(dtype=float), [np.nan, 1, 2])


@pytest.mark.parametrize("store", BOTH)
def test_one_view_serves_two_roles_through_a_join_key_map(store: str, repository: Write, tmp_path: Path) -> None:
    scores = user_scores(tmp_path)
    feast = repository(store, [USER, scores])
    sender = scores.with_name("sender").with_join_key_map({"user_id": "sender_id"})
    receiver = scores.with_name("receiver").with_join_key_map({"user_id": "receiver_id"})
    feast.apply([FeatureService(name="pair", features=[sender, receiver])])
    rows = entity_rows(["x"], [120], sender_id=["a"], receiver_id=["b"]).drop(columns="user_id")
    rows["event_timestamp"] = pd.to_datetime([at(101)], utc=True)
    rows = pd.concat([rows, rows.assign(event_timestamp=pd.to_datetime([at(5)], utc=True))], ignore_index=True)
    job = feast.get_historical_features(rows, feast.get_feature_service("pair"), full_feature_names=True)
    result = job.to_df().sort_values("event_timestamp", ascending=False)
    np.testing.assert_array_equal(result["sender__score"].to_numpy(dtype=float), [np.nan, 1])
    np.testing.assert_array_equal(result["receiver__score"].to_numpy(dtype=float), [3, np.nan])


@pytest.mark.parametrize("store", BOTH)
def test_columns_renamed_by_a_field_mapping(store: str, repository: Write, tmp_path: Path) -> None:
    table = pa.table({"uid": ["a", "a"], "event_timestamp": moments(0, 30), "SCORE": [1, 2], "other": [0, 0]})
    mapped = view(tmp_path, "mapped", table, {"score": Int64}, field_mapping={"uid": "user_id", "SCORE": "score"})
    feast = repository(store, [USER, mapped])
    result = feast.get_historical_features(entity_rows(["a"], [31]), ["mapped:score"], full_feature_names=True).to_df()
    assert result["mapped__score"].tolist() == [2]


@pytest.mark.parametrize("store", BOTH)
def test_on_demand_views_are_computed_on_the_joined_rows(store: str, repository: Write, tmp_path: Path) -> None:
    scores = user_scores(tmp_path)

    @on_demand_feature_view(sources=[scores], schema=[Field(name="double", dtype=Float64)], mode="pandas")
    def doubled(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"double": inputs["score"].astype(float) * 2})

    feast = repository(store, [USER, scores, doubled])
    rows = entity_rows(["a", "a"], [1, 31], kind=["x", "y"])
    result = feast.get_historical_features(rows, ["scores:score", "doubled:double"]).to_df()
    assert result.sort_values("event_timestamp")["double"].tolist() == [2.0, 4.0]


@pytest.mark.parametrize("store", BOTH)
def test_several_views_side_by_side_with_equal_names(store: str, repository: Write, tmp_path: Path) -> None:
    table = pa.table({"user_id": ["a"], "event_timestamp": moments(0), "score": [9], "name": ["n"]})
    other = view(tmp_path, "other", table, {"score": Int64, "name": String})
    feast = repository(store, [USER, user_scores(tmp_path), other])
    features = ["scores:score", "other:score", "other:name"]
    result = feast.get_historical_features(entity_rows(["a"], [1]), features, full_feature_names=True).to_df()
    assert result[["scores__score", "other__score", "other__name"]].to_numpy().tolist() == [[1, 9, "n"]]


@pytest.mark.parametrize("store", BOTH)
def test_a_view_without_entities_gives_every_row_the_latest_value(
    store: str, repository: Write, tmp_path: Path
) -> None:
    table = pa.table({"event_timestamp": moments(0, 10), "rate": [1.5, 2.5]})
    feast = repository(store, [USER, view(tmp_path, "rates", table, {"rate": Float64}, entities=[])])
    result = feast.get_historical_features(entity_rows(["a", "b", "c"], [5, 10, -1]), ["rates:rate"]).to_df()
    np.testing.assert_array_equal(result["rate"], [1.5, 2.5, np.nan])


@pytest.mark.parametrize("store", BOTH)
def test_a_view_without_rows_gives_nulls(store: str, repository: Write, tmp_path: Path) -> None:
    schema = pa.schema({"user_id": pa.string(), "event_timestamp": pa.timestamp("us", tz="UTC"), "score": pa.int64()})
    feast = repository(store, [USER, view(tmp_path, "empty", schema.empty_table(), {"score": Int64})])
    result = feast.get_historical_features(entity_rows(["a", "b"], [5, 10]), ["empty:score"]).to_df()
    assert result["score"].isna().tolist() == [True, True]


@pytest.mark.parametrize("store", BOTH)
def test_nothing_survives_from_one_call_to_the_next(store: str, repository: Write, tmp_path: Path) -> None:
    scores = user_scores(tmp_path)
    feast = repository(store, [USER, scores])
    rows = entity_rows(["a"], [31])
    assert feast.get_historical_features(rows, ["scores:score"]).to_df()["score"].tolist() == [2]
    table = pa.table({"user_id": ["a"], "event_timestamp": moments(30), "score": pa.array([77], pa.int64())})
    pq.write_table(table, scores.batch_source.path)
    assert feast.get_historical_features(rows, ["scores:score"]).to_df()["score"].tolist() == [77]


@pytest.mark.parametrize("store", BOTH)
def test_a_saved_data_set_is_read_back_row_for_row(store: str, repository: Write, tmp_path: Path) -> None:
    feast = repository(store, [USER, user_scores(tmp_path)])
    job = feast.get_historical_features(entity_rows(["a", "a", "b"], [31, 31, 5]), ["scores:score"])
    storage = SavedDatasetFileStorage(path=str(tmp_path / "saved.parquet"))
    feast.create_saved_dataset(job, "training", storage)
    saved = feast.get_saved_dataset("training").to_df()
    assert sorted(saved["user_id"]) == ["a", "a", "b"]
    assert saved["score"].sum() == 4


def test_without_entity_rows_the_widest_keys_say_which_rows_there_are(repository: Write, tmp_path: Path) -> None:
    pairs = pa.table(
        {"item_id": [1, 2, 1], "user_id": ["a", "a", "z"], "event_timestamp": moments(0, 5, 500), "count": [7, 8, 9]}
    )
    views = [user_scores(tmp_path), view(tmp_path, "pairs", pairs, {"count": Int64}, entities=[ITEM, USER])]
    feast = repository(ASOF, [USER, ITEM, *views])
    job = feast.get_historical_features(None, ["scores:score", "pairs:count"], start_date=at(0), end_date=at(30))
    result = job.to_df().sort_values("item_id")
    assert result[["user_id", "item_id", "score", "count"]].to_numpy().tolist() == [["a", 1, 2, 7], ["a", 2, 2, 8]]


def test_without_entity_rows_unrelated_keys_are_refused(repository: Write, tmp_path: Path) -> None:
    prices = pa.table({"item_id": [1], "event_timestamp": moments(0), "price": [1.0]})
    views = [user_scores(tmp_path), view(tmp_path, "prices", prices, {"price": Float64}, entities=[ITEM])]
    feast = repository(ASOF, [USER, ITEM, *views])
    job = feast.get_historical_features(None, ["scores:score", "prices:price"], start_date=at(0), end_date=at(30))
    with pytest.raises(EntityRowsError, match="Pass entity rows with the pairs you want"):
        job.to_df()


@pytest.mark.parametrize("length", [None, 2])
def test_features_may_have_the_names_that_the_join_uses_itself(
    length: int | None, repository: Write, tmp_path: Path
) -> None:
    names = ["r", "t", "k0", "k", "e", "c", "rid", "kid", "f1", "f0", "A", "a_", "__x", 'quo"te', "moment", "matched"]
    columns = {name: pa.array([i, i + 100], pa.int64()) for i, name in enumerate(names)}
    table = pa.table({"user_id": ["a", "a"], "event_timestamp": moments(0, 1)} | columns)
    pq.write_table(table, tmp_path / "odd.parquet")
    tags = {} if length is None else {"sequence.length": str(length)}
    source = FileSource(name="odd", path="odd.parquet", timestamp_field="event_timestamp", tags=tags)
    fields = [Field(name=name, dtype=Int64 if length is None else Array(Int64)) for name in names]
    feast = repository(ASOF, [USER, FeatureView(name="odd", entities=[USER], schema=fields, source=source)])
    refs = [f"odd:{name}" for name in names]
    got = feast.get_historical_features(entity_rows(["a"], [5]), refs).to_arrow().to_pylist()[0]
    expected = {n: i + 100 if length is None else [i, i + 100] for i, n in enumerate(names)}
    assert {name: got[name] for name in names} == expected


def test_a_ttl_of_a_million_years_means_forever(repository: Write, tmp_path: Path) -> None:
    feast = repository(ASOF, [USER, user_scores(tmp_path, ttl=timedelta(days=300_000_000))])
    result = feast.get_historical_features(entity_rows(["a"], [10**6]), ["scores:score"]).to_df()
    assert result["score"].tolist() == [2]
