"""Rows that arrive later: appended without touching what is there, whole or not at all."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource
from feast.data_source import PushMode
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination, SavedDatasetFileStorage
from feast.types import Array, Int64, String
from feast.value_type import ValueType

from intent_stores.errors import SourceColumnMissingError, SourceError, WriteError

T0 = datetime(2024, 3, 1, 12, tzinfo=UTC)
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)


def stamps(*minutes: float) -> pa.Array:
    return pa.array([T0 + timedelta(minutes=m) for m in minutes], pa.timestamp("us", tz="UTC"))


def rows(user: str, minute: float, score: int) -> pd.DataFrame:
    return pd.DataFrame({"user_id": [user], "event_timestamp": [T0 + timedelta(minutes=minute)], "score": [score]})


def first_rows() -> pa.Table:
    return pa.table({"user_id": ["a"], "event_timestamp": stamps(0), "score": pa.array([1], pa.int64())})


def build(folder: Path, path: str, fields: dict[str, Any] | None = None, **source: Any) -> FeatureStore:
    (folder / "feature_store.yaml").write_text(
        "project: contract\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"
        "online_store: {type: sqlite, path: online.db}\n"
        "offline_store: {type: intent_stores.offline_asof.AsofOfflineStore}\n"
    )
    batch = FileSource(name="batch", path=path, timestamp_field="event_timestamp", **source)
    schema = [Field(name=name, dtype=kind) for name, kind in (fields or {"score": Int64}).items()]
    push = PushSource(name="push", batch_source=batch)
    view = FeatureView(name="scores", entities=[USER], ttl=timedelta(0), schema=schema, source=push)
    store = FeatureStore(repo_path=str(folder))
    store.apply([USER, view, FeatureService(name="service", features=[view])])
    return store


def write(store: FeatureStore, table: pa.Table) -> None:
    view = store.get_feature_view("scores")
    store._get_provider().offline_store.offline_write_batch(store.config, view, table, None)


def scores(store: FeatureStore, user: str = "a", minute: float = 999) -> Any:
    asked = pd.DataFrame({"user_id": [user], "event_timestamp": [T0 + timedelta(minutes=minute)]})
    return store.get_historical_features(asked, ["scores:score"]).to_arrow().column("score").to_pylist()[0]


def test_a_push_to_a_folder_adds_a_part_and_touches_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(first_rows(), tmp_path / "data" / "0.parquet")
    before = (tmp_path / "data" / "0.parquet").stat().st_mtime_ns
    store = build(tmp_path, "data")
    for minute in (5, 6):
        store.push("push", rows("a", minute, minute * 10), to=PushMode.ONLINE_AND_OFFLINE)
    files = sorted(p.name for p in (tmp_path / "data").iterdir())
    assert len(files) == 3
    assert (tmp_path / "data" / "0.parquet").stat().st_mtime_ns == before
    assert [scores(store, minute=m) for m in (0, 5, 6)] == [1, 50, 60]
    online = store.get_online_features(["scores:score"], [{"user_id": "a"}]).to_dict()
    assert online["score"] == [60]


def test_among_equal_times_the_part_that_was_written_last_wins(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(first_rows(), tmp_path / "data" / "0.parquet")
    store = build(tmp_path, "data")
    for score in range(12):
        store.push("push", rows("a", 5, score), to=PushMode.OFFLINE)
        assert scores(store) == score


def test_a_push_to_a_single_file_keeps_its_rows(tmp_path: Path) -> None:
    pq.write_table(first_rows(), tmp_path / "data.parquet")
    store = build(tmp_path, "data.parquet")
    store.push("push", rows("a", 5, 7), to=PushMode.OFFLINE)
    assert pq.read_table(tmp_path / "data.parquet").column("score").to_pylist() == [1, 7]
    assert scores(store) == 7


def test_a_push_to_hive_folders_goes_to_its_partition(tmp_path: Path) -> None:
    (tmp_path / "data" / "country=de").mkdir(parents=True)
    pq.write_table(first_rows(), tmp_path / "data" / "country=de" / "0.parquet")
    store = build(tmp_path, "data", {"score": Int64, "country": String})
    pushed = pd.concat([rows("a", 5, 7).assign(country="fr"), rows("a", 4, 6).assign(country="de")])
    store.push("push", pushed, to=PushMode.OFFLINE)
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["country=de", "country=fr"]
    assert [scores(store, minute=m) for m in (0, 4, 5)] == [1, 6, 7]


def test_pushed_lists_become_one_row_for_each_event(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(first_rows(), tmp_path / "data" / "0.parquet")
    store = build(tmp_path, "data", {"score": Array(Int64)}, tags={"sequence.length": "3"})
    table = pa.table({"user_id": ["a", "b"], "event_timestamp": stamps(5, 6), "score": [[2, 3], []]})
    write(store, table)
    assert scores(store) == [1, 2, 3]
    each = pa.table({"user_id": ["b"], "event_timestamp": [stamps(7, 8).to_pylist()], "score": [[4, 5]]})
    write(store, each)
    assert scores(store, "b", 7) == [4]
    assert scores(store, "b") == [4, 5]


def test_lists_of_unequal_length_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    table = pa.table({"user_id": ["a"], "event_timestamp": stamps(0), "score": [1], "item": [2]})
    pq.write_table(table, tmp_path / "data" / "0.parquet")
    store = build(tmp_path, "data", {"score": Array(Int64), "item": Array(Int64)}, tags={"sequence.length": "3"})
    bad = pa.table({"user_id": ["a"], "event_timestamp": stamps(0), "score": [[1, 2]], "item": [[1]]})
    with pytest.raises(WriteError, match="'score' and 'item' differ in length"):
        write(store, bad)


def test_rows_with_other_columns_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(first_rows(), tmp_path / "data" / "0.parquet")
    store = build(tmp_path, "data")
    with pytest.raises(SourceColumnMissingError, match=r"lack the columns \['score'\] and have \['scroe'\]"):
        write(store, pa.table({"user_id": ["a"], "event_timestamp": stamps(5), "scroe": [7]}))
    with pytest.raises(WriteError, match="do not fit its types"):
        write(store, pa.table({"user_id": ["a"], "event_timestamp": stamps(5), "score": ["many"]}))
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["0.parquet"]


def test_rows_for_a_source_that_is_not_there_are_refused(tmp_path: Path) -> None:
    pq.write_table(first_rows(), tmp_path / "data.parquet")
    store = build(tmp_path, "data.parquet")
    (tmp_path / "data.parquet").unlink()
    with pytest.raises(SourceError, match="cannot be appended to"):
        write(store, first_rows())


@pytest.mark.parametrize("path", ["data", "data.parquet"])
def test_a_disk_that_fills_while_writing_leaves_the_source_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    if path == "data":
        (tmp_path / "data").mkdir()
    file = tmp_path / ("data/0.parquet" if path == "data" else path)
    pq.write_table(first_rows(), file)
    store, before = build(tmp_path, path), file.read_bytes()

    def fail(table: pa.Table, where: Path, **options: Any) -> None:
        where.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", fail)
        with pytest.raises(WriteError, match=r"No space left on device.*unchanged"):
            store.push("push", rows("a", 5, 7), to=PushMode.OFFLINE)
    assert file.read_bytes() == before
    assert [p.name for p in file.parent.iterdir() if ".tmp" in p.name] == []
    assert scores(store) == 1


def test_an_unfinished_write_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(first_rows(), tmp_path / "data" / "0.parquet")
    (tmp_path / "data" / ".part-1.parquet.abc.tmp").write_bytes(b"half")
    (tmp_path / "data" / ".part-2.parquet").write_bytes(b"half")
    (tmp_path / "data" / "_temporary").mkdir()
    (tmp_path / "data" / "_temporary" / "3.parquet").write_bytes(b"half")
    assert scores(build(tmp_path, "data")) == 1


@pytest.mark.parametrize("partition_by", [None, ["day", "kind"]])
def test_logged_features_are_appended(tmp_path: Path, partition_by: list[str] | None) -> None:
    pq.write_table(first_rows(), tmp_path / "data.parquet")
    store = build(tmp_path, "data.parquet")
    destination = FileLoggingDestination(path="logs", partition_by=partition_by)
    logs = pa.table({"user_id": ["a", "b", "c"], "day": ["1", "2", None], "kind": ["x", "x", "x"], "score": [1, 2, 3]})
    offline = store._get_provider().offline_store
    offline.write_logged_features(store.config, logs, None, LoggingConfig(destination=destination), store.registry)
    folder = tmp_path / "more"
    folder.mkdir()
    pq.write_table(logs.slice(0, 1), folder / "0.parquet")
    offline.write_logged_features(store.config, folder, None, LoggingConfig(destination=destination), store.registry)
    written = pq.read_table(tmp_path / "logs")
    assert sorted(written.column("score").to_pylist()) == [1, 1, 2, 3]


def test_a_service_logs_what_it_served_and_finds_it_again(tmp_path: Path) -> None:
    """Through Feast's own front, as its feature servers log; what was logged is validated from the same folder."""
    pq.write_table(first_rows(), tmp_path / "data.parquet")
    store = build(tmp_path, "data.parquet")
    (tmp_path / "logs").mkdir()
    logging = LoggingConfig(destination=FileLoggingDestination(path=str(tmp_path / "logs")))
    service = FeatureService(name="logged", features=[store.get_feature_view("scores")], logging_config=logging)
    store.apply([service])
    now = pa.array([T0, T0 + timedelta(minutes=1)], pa.timestamp("us", tz="UTC"))
    served = pa.table(
        {
            "user_id": ["a", "b"],
            "scores__score": pa.array([1, None], pa.int64()),
            "scores__score__timestamp": now,
            "scores__score__status": pa.array([2, 1], pa.int32()),
            "__log_timestamp": now,
            "__log_date": pa.array([T0.date()] * 2),
            "__request_id": ["r1", "r2"],
        }
    )
    for part in (served.slice(0, 1), served.slice(1)):
        store.write_logged_features(part, service)
    assert len(list((tmp_path / "logs").rglob("*.parquet"))) == 2
    provider = store._get_provider()
    found = provider.retrieve_feature_service_logs(
        service, T0 - timedelta(hours=1), T0 + timedelta(hours=1), store.config, store.registry
    )
    table = found.to_arrow().sort_by("__request_id")
    assert table["scores__score"].to_pylist() == [1, None]
    assert table["__request_id"].to_pylist() == ["r1", "r2"]


@pytest.mark.parametrize("path", ["saved.parquet", "saved"])
def test_a_saved_data_set_is_overwritten_only_when_asked(tmp_path: Path, path: str) -> None:
    pq.write_table(first_rows(), tmp_path / "data.parquet")
    store = build(tmp_path, "data.parquet")

    def job(count: int) -> Any:
        asked = pd.DataFrame({"user_id": ["a"] * count, "event_timestamp": [T0] * count})
        return store.get_historical_features(asked, ["scores:score"])

    storage = SavedDatasetFileStorage(path=path)
    job(1).persist(storage)
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job(2).persist(storage)
    assert pq.read_table(tmp_path / path).num_rows == 1
    job(3).persist(storage, allow_overwrite=True)
    assert pq.read_table(tmp_path / path).num_rows == 3
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []
