"""Names that could be taken for others, and places that hold what no reader may see."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64
from feast.value_type import ValueType

from intent_stores.errors import EntityRowsError, SourceError

T0 = datetime(2024, 3, 1, 12, tzinfo=UTC)
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)


def stamps(*minutes: float) -> pa.Array:
    return pa.array([T0 + timedelta(minutes=m) for m in minutes], pa.timestamp("us", tz="UTC"))


def scores(path: str) -> FeatureView:
    source = FileSource(name="scores_source", path=path, timestamp_field="event_timestamp")
    return FeatureView(name="scores", entities=[USER], schema=[Field(name="score", dtype=Int64)], source=source)


def repository(folder: Path, *definitions: Any) -> FeatureStore:
    (folder / "feature_store.yaml").write_text(
        "project: contract\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"
        "online_store: {type: sqlite, path: online.db}\n"
        "offline_store: {type: intent_stores.offline_asof.AsofOfflineStore}\n"
    )
    store = FeatureStore(repo_path=str(folder))
    store.apply([USER, *definitions])
    return store


def rows(users: list[Any], minute: float = 9, **more: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {"user_id": users, "event_timestamp": pd.to_datetime([T0 + timedelta(minutes=minute)] * len(users))} | more
    )


@pytest.mark.parametrize("name", ["file_index", "file_row_number", "FILE_ROW_NUMBER", "__asof_row"])
def test_a_column_that_would_be_taken_for_the_number_of_a_row(name: str, tmp_path: Path) -> None:
    table = {"user_id": [1, 1, 1], "event_timestamp": stamps(0, 5, 20), "score": [10, 20, 99], name: [0, 0, 0]}
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    store = repository(tmp_path, scores("rows.parquet"))
    with pytest.raises(SourceError, match=rf"{name}.*expected none of.*Rename"):
        store.get_historical_features(rows([1]), ["scores:score"])


@pytest.mark.parametrize("in_frame", [True, False])
def test_an_on_demand_feature_named_like_a_column_of_the_entity_rows(in_frame: bool, tmp_path: Path) -> None:
    pq.write_table(pa.table({"user_id": [1], "event_timestamp": stamps(0), "score": [10]}), tmp_path / "rows.parquet")
    view = scores("rows.parquet")

    @on_demand_feature_view(sources=[view], schema=[Field(name="label", dtype=Float64)], mode="pandas")
    def doubled(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"label": inputs["score"].astype(float) * 2})

    store = repository(tmp_path, view, doubled)
    asked = (
        rows([1], label=[7]) if in_frame else "SELECT 1 AS user_id, TIMESTAMPTZ '2024-03-01 12:09:00Z' AS t, 7 AS label"
    )
    features = ["scores:score", "doubled:label"]
    with pytest.raises(EntityRowsError, match=r"'label'.*full_feature_names=True"):
        store.get_historical_features(asked, features).to_arrow()
    full = store.get_historical_features(rows([1], label=[7]), features, full_feature_names=True).to_df()
    assert full[["label", "doubled__label"]].to_numpy().tolist() == [[7, 20.0]]


@pytest.mark.parametrize(
    "path", ["h", "h/kind=*/*.parquet", "h/*/*.parquet", "h/kind=[ab]/?.parquet", "h/**/*.parquet"]
)
def test_hive_folders_and_unfinished_files_below_a_glob(path: str, tmp_path: Path) -> None:
    for kind, minute in (("a", 0), ("b", 5)):
        (tmp_path / "h" / f"kind={kind}").mkdir(parents=True)
        table = pa.table({"user_id": [1], "event_timestamp": stamps(minute), "score": [minute]})
        pq.write_table(table, tmp_path / "h" / f"kind={kind}" / "0.parquet")
    (tmp_path / "h" / "_temporary").mkdir()
    pq.write_table(
        pa.table({"user_id": [1], "event_timestamp": stamps(8), "score": [99]}),
        tmp_path / "h" / "_temporary" / "0.parquet",
    )
    view, kind = scores(path), Entity(name="kind", join_keys=["kind"], value_type=ValueType.STRING)
    schema = [Field(name="score", dtype=Int64)]
    kinds = FeatureView(name="kinds", entities=[kind], schema=schema, source=view.batch_source)
    store = repository(tmp_path, view, kind, kinds)
    assert store.get_historical_features(rows([1]), ["scores:score"]).to_df()["score"].tolist() == [5]
    by_kind = store.get_historical_features(rows([1, 1]).assign(kind=["a", "b"]), ["kinds:score"]).to_df()
    assert by_kind["score"].tolist() == [0, 5]


def test_a_whole_number_beyond_a_double_is_no_other_key(tmp_path: Path) -> None:
    table = {"user_id": pa.array([2.0**53, 7.0]), "event_timestamp": stamps(0, 0), "score": [10, 20]}
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    store = repository(tmp_path, scores("rows.parquet"))
    got = store.get_historical_features(rows([2**53, 2**53 + 1, 7]), ["scores:score"]).to_df()["score"]
    assert got.fillna(-1).tolist() == [10, -1, 20]


@pytest.mark.parametrize("moment", ["infinity", "-infinity"])
def test_no_moment_at_all(moment: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"user_id": [1], "event_timestamp": stamps(0), "score": [10]}), tmp_path / "rows.parquet")
    store = repository(tmp_path, scores("rows.parquet"))
    with pytest.raises(EntityRowsError, match="years 1 to 9999"):
        store.get_historical_features(f"SELECT 1 AS user_id, '{moment}'::TIMESTAMPTZ AS t", ["scores:score"]).to_arrow()
