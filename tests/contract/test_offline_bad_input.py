"""Input that cannot be answered: a clear error before, or instead of, a wrong answer; nothing left behind."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.monitoring.monitoring_service import MonitoringService
from feast.types import Array, Int64
from feast.value_type import ValueType

from intent_stores.duckdb_session import SessionLimits, duckdb_session
from intent_stores.errors import (
    ConfigurationError,
    EntityKeyTypeError,
    EntityRowsError,
    NotSupportedError,
    OutOfResourcesError,
    QueryError,
    SourceChangedError,
    SourceColumnMissingError,
    SourceColumnTypeError,
    SourceError,
    SourceNotFoundError,
)
from intent_stores.parquet_source import open_source

ROOT = Path(__file__).parents[2]
T0 = datetime(2024, 3, 1, 12, tzinfo=UTC)
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
Build = Callable[..., FeatureStore]


def stamps(*minutes: float) -> pa.Array:
    return pa.array([T0 + timedelta(minutes=m) for m in minutes], pa.timestamp("us", tz="UTC"))


def good() -> dict[str, Any]:
    return {"user_id": [1, 1], "event_timestamp": stamps(0, 5), "created": stamps(0, 5), "score": [10, 20]}


def entity_rows(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"user_id": [1], "event_timestamp": pd.to_datetime([T0 + timedelta(minutes=9)])} | columns)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    def make(
        columns: dict[str, Any] | None = None, tags: dict[str, str] | None = None, **settings: Any
    ) -> FeatureStore:
        lines = "".join(f"    {name}: {value}\n" for name, value in settings.items())
        (tmp_path / "feature_store.yaml").write_text(
            "project: contract\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"
            "online_store: {type: sqlite, path: online.db}\n"
            f"offline_store:\n    type: intent_stores.offline_asof.AsofOfflineStore\n{lines}"
        )
        pq.write_table(
            pa.table(good() if columns is None else columns), tmp_path / "rows.parquet", row_group_size=100_000
        )
        source = FileSource(
            name="scores_source",
            path="rows.parquet",
            timestamp_field="event_timestamp",
            created_timestamp_column="created",
            tags=tags or {},
        )
        fields = [Field(name="score", dtype=Array(Int64) if tags else Int64)]
        store = FeatureStore(repo_path=str(tmp_path))
        store.apply([USER, FeatureView(name="scores", entities=[USER], schema=fields, source=source)])
        return store

    return make


def ask(store: FeatureStore, rows: Any = None) -> pd.DataFrame:
    return store.get_historical_features(entity_rows() if rows is None else rows, ["scores:score"]).to_df()


def test_a_missing_file(build: Build, tmp_path: Path) -> None:
    store = build()
    (tmp_path / "rows.parquet").unlink()
    with pytest.raises(SourceNotFoundError, match=r"'scores_source': no Parquet file at .*rows\.parquet"):
        ask(store)


def test_an_empty_folder(build: Build, tmp_path: Path) -> None:
    store = build()
    (tmp_path / "rows.parquet").unlink()
    (tmp_path / "rows.parquet").mkdir()
    with pytest.raises(SourceNotFoundError, match="expected a file, a folder or a glob with at least one"):
        ask(store)


@pytest.mark.parametrize("column", ["user_id", "event_timestamp", "created", "score"])
def test_a_column_that_is_gone_since_apply(build: Build, tmp_path: Path, column: str) -> None:
    store = build()
    columns = {("scroe" if name == column else name): values for name, values in good().items()}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    with pytest.raises(SourceColumnMissingError, match=rf"no column '{column}'.*it has \[.*'scroe'.*\].*apply again"):
        ask(store)


@pytest.mark.parametrize(
    ("values", "stored"),
    [(["1", "2"], "VARCHAR"), ([T0, T0], "TIMESTAMP WITH TIME ZONE"), ([[1], [2]], r"BIGINT\[\]")],
)
@pytest.mark.parametrize("tags", [None, {"sequence.length": "3"}])
def test_a_column_of_another_kind_since_apply(
    build: Build, tmp_path: Path, values: Any, stored: str, tags: dict[str, str] | None
) -> None:
    store = build(tags=tags)
    pq.write_table(pa.table(good() | {"score": values}), tmp_path / "rows.parquet")
    with pytest.raises(SourceColumnTypeError, match=f"'score' has type {stored}.*expected numbers.*apply again"):
        ask(store)


def test_a_column_of_another_width_since_apply(build: Build, tmp_path: Path) -> None:
    store = build()
    pq.write_table(pa.table(good() | {"score": pa.array([10, 20], pa.int8())}), tmp_path / "rows.parquet")
    assert ask(store)["score"].tolist() == [20]


def test_a_sequence_that_was_declared_as_single_values(build: Build) -> None:
    store = build(tags={"sequence.length": "3"})
    view = store.get_feature_view("scores")
    view.features[0].dtype = Int64
    store.apply([view])
    with pytest.raises(SourceColumnTypeError, match=r"gives lists.*declared as Int64; expected an Array"):
        ask(store)


def test_lists_that_were_declared_without_the_tag_that_makes_them(build: Build) -> None:
    store = build()
    view = store.get_feature_view("scores")
    view.features[0].dtype = Array(Int64)
    store.apply([view])
    with pytest.raises(SourceColumnTypeError, match=r"expected lists .*tag 'sequence\.length'"):
        ask(store)


@pytest.mark.parametrize(
    ("values", "kind"),
    [(["2024-03-01", "2024-03-02"], "VARCHAR"), ([1, 2], "BIGINT"), ([date(2024, 3, 1)] * 2, "DATE")],
)
@pytest.mark.parametrize("column", ["event_timestamp", "created"])
def test_a_time_that_is_no_timestamp(build: Build, tmp_path: Path, column: str, values: Any, kind: str) -> None:
    store = build()
    pq.write_table(pa.table(good() | {column: values}), tmp_path / "rows.parquet")
    with pytest.raises(SourceColumnTypeError, match=rf"column '{column}'.*has type {kind}; expected a timestamp"):
        ask(store)


def test_entity_rows_without_a_timestamp(build: Build) -> None:
    with pytest.raises(EntityRowsError, match="have 0 timestamp columns"):
        ask(build(), entity_rows().drop(columns="event_timestamp"))


def test_entity_rows_with_several_timestamps_none_of_the_known_name(build: Build) -> None:
    rows = entity_rows().rename(columns={"event_timestamp": "first"})
    rows["second"] = rows["first"]
    with pytest.raises(EntityRowsError, match=r"2 timestamp columns \['first', 'second'\]"):
        ask(build(), rows)
    assert ask(build(), rows.drop(columns="second"))["score"].tolist() == [20]


def test_entity_rows_whose_timestamp_is_text(build: Build) -> None:
    with pytest.raises(EntityRowsError, match=r"has type string; expected timestamps.*pd\.to_datetime"):
        ask(build(), entity_rows(event_timestamp=["2024-03-01"]))


def test_entity_rows_at_no_moment(build: Build) -> None:
    with pytest.raises(EntityRowsError, match="null in 1 of 1 rows"):
        ask(build(), entity_rows(event_timestamp=pd.to_datetime([None], utc=True)))


def test_no_entity_rows_give_no_rows_with_every_column(build: Build) -> None:
    result = ask(build(), entity_rows().iloc[:0])
    assert len(result) == 0
    assert list(result.columns) == ["user_id", "event_timestamp", "score"]
    result = ask(build(tags={"sequence.length": "3"}), entity_rows().iloc[:0])
    assert (len(result), list(result.columns)) == (0, ["user_id", "event_timestamp", "score"])


def test_entity_rows_without_the_key(build: Build) -> None:
    with pytest.raises(EntityRowsError, match=r"no column 'user_id', the join key of view 'scores'"):
        ask(build(), entity_rows().drop(columns="user_id"))


@pytest.mark.parametrize("key", [["1"], [True], [T0]])
def test_a_key_of_a_type_that_can_never_match(build: Build, key: Any) -> None:
    with pytest.raises(EntityKeyTypeError, match="every feature would be null"):
        ask(build(), entity_rows(user_id=key))


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint64", "Int64", "float64", "category"])
def test_a_key_of_another_width_matches(build: Build, dtype: str) -> None:
    assert ask(build(), entity_rows(user_id=pd.Series([1]).astype(dtype)))["score"].tolist() == [20]


def test_a_key_with_a_fraction_matches_nothing(build: Build) -> None:
    rows = pd.concat([entity_rows(user_id=[1.0]), entity_rows(user_id=[1.5]), entity_rows(user_id=[np.inf])])
    np.testing.assert_array_equal(ask(build(), rows)["score"], [20, np.nan, np.nan])


@pytest.mark.parametrize(
    ("moment", "expected"),
    [(datetime(9999, 12, 31, tzinfo=UTC), 20.0), (datetime(1, 1, 2, tzinfo=UTC), np.nan)],
)
def test_moments_at_the_ends_of_time(build: Build, moment: datetime, expected: float) -> None:
    rows = entity_rows(event_timestamp=np.array([moment.replace(tzinfo=None)], dtype="datetime64[us]"))
    rows["event_timestamp"] = rows["event_timestamp"].dt.tz_localize("UTC")
    store = build()
    np.testing.assert_array_equal(ask(store, rows)["score"], [expected])


def test_history_before_1970(build: Build) -> None:
    old = pa.array([-86_400_000_000, -1], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    store = build(good() | {"event_timestamp": old, "created": old})
    rows = entity_rows(event_timestamp=pd.to_datetime(["1969-12-31T12:00:00Z"]))
    assert ask(store, rows)["score"].tolist() == [10]


def test_a_feature_with_the_name_of_an_entity_column(build: Build) -> None:
    store = build()
    with pytest.raises(EntityRowsError, match="full_feature_names=True"):
        ask(store, entity_rows(score=[1]))


def test_entity_columns_that_are_not_unique(build: Build) -> None:
    rows = entity_rows(a=[1], b=[2]).rename(columns={"b": "a"})
    with pytest.raises(EntityRowsError, match="each once"):
        build()._get_provider().offline_store.get_historical_features(
            build().config, [build().get_feature_view("scores")], ["scores:score"], rows, build().registry, "contract"
        )


def test_a_column_that_arrow_cannot_hold(build: Build) -> None:
    rows = pd.concat([entity_rows(odd=["x"]), entity_rows(odd=[3.5])])
    with pytest.raises(EntityRowsError, match="'odd' mixes types"):
        ask(build(), rows)


@pytest.mark.parametrize("query", ["SELECT 1 AS user_id, now() AS event_timestamp FROM nowhere", "SELEC 1"])
def test_an_entity_query_that_fails(build: Build, query: str) -> None:
    with pytest.raises(EntityRowsError, match="The entity query failed in DuckDB"):
        ask(build(), query)


def test_an_entity_query_does_not_see_python_variables(build: Build) -> None:
    frame = entity_rows()
    with pytest.raises(EntityRowsError, match="frame"):
        ask(build(), "SELECT * FROM frame")
    assert len(frame) == 1


def test_an_entity_query_that_is_no_select(build: Build) -> None:
    with pytest.raises(EntityRowsError, match="0 timestamp columns"):
        ask(build(), "CREATE TABLE t (a INT)")


def test_a_file_that_is_no_parquet(build: Build, tmp_path: Path) -> None:
    store = build()
    (tmp_path / "rows.parquet").write_bytes(b"half a file")
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        ask(store)


def test_a_file_with_a_broken_page(build: Build, tmp_path: Path) -> None:
    store = build(good() | {"score": [10, 20]})
    path = tmp_path / "rows.parquet"
    data = bytearray(path.read_bytes())
    data[4:400] = b"\xff" * 396
    path.write_bytes(bytes(data))
    with pytest.raises(QueryError, match="No result is given"):
        ask(store)


@pytest.mark.parametrize("length", ["0", "-3", "many", "2.5", "", "٣"])
def test_a_sequence_length_that_is_none(build: Build, length: str) -> None:
    store = build(tags={"sequence.length": length})
    with pytest.raises(ConfigurationError, match="expected a positive whole number"):
        ask(store)


def test_a_sequence_of_something_that_cannot_be_an_element(build: Build) -> None:
    store = build(good() | {"score": [{"a": 1}, {"a": 2}]}, tags={"sequence.length": "3"})
    with pytest.raises(SourceColumnTypeError, match="cannot be an element of a sequence"):
        ask(store)


@pytest.mark.parametrize("settings", [{"memory_limit": "much"}, {"max_temp_directory_size": "all"}])
def test_limits_that_duckdb_does_not_understand(build: Build, settings: dict[str, str]) -> None:
    store = build(**settings)
    with pytest.raises(ConfigurationError, match="Sizes are written like '4GB'"):
        ask(store)


def test_an_unknown_setting_is_refused(build: Build) -> None:
    with pytest.raises(Exception, match="memori_limit"):
        build(memori_limit="1GB")


@pytest.mark.parametrize("path", ["s3://bucket/rows/", "s3://bucket/rows.parquet", "https://localhost:1/rows.parquet"])
@pytest.mark.parametrize("endpoint", [None, "http://localhost:9000"])
def test_a_remote_path_without_duckdbs_extension(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, endpoint: str | None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # where DuckDB looks for its extensions
    source = FileSource(path=path, timestamp_field="event_timestamp", s3_endpoint_override=endpoint)

    def read() -> None:
        with duckdb_session(SessionLimits()) as connection:
            open_source(connection, source, tmp_path)

    with pytest.raises(ConfigurationError, match=r"extension 'httpfs'.*not installed.*INSTALL httpfs"):
        read()


@pytest.mark.parametrize("what", ["run", "read"])
def test_monitoring_is_refused_in_words(build: Build, what: str) -> None:
    monitoring = MonitoringService(build())
    with pytest.raises(NotSupportedError, match=r"feast monitor.*type: duckdb"):
        monitoring.auto_compute("contract") if what == "run" else monitoring.get_feature_metrics(project="contract")


def test_a_join_is_no_single_query(build: Build) -> None:
    job = build().get_historical_features(entity_rows(), ["scores:score"])
    with pytest.raises(NotSupportedError, match=r"Use to_df\(\)"):
        job.to_sql()


def test_a_spill_folder_that_cannot_be_made(build: Build, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file")
    store = build(temp_directory="occupied")
    with pytest.raises(ConfigurationError, match="spill folder could not be made"):
        ask(store)


@pytest.mark.parametrize("tags", [None, {"sequence.length": "3"}])
def test_a_file_replaced_during_the_join_gives_no_answer(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tags: dict[str, str] | None
) -> None:
    from intent_stores import parquet_source

    store = build(tags=tags)
    job = store.get_historical_features(entity_rows(), ["scores:score"])
    read = parquet_source.fingerprint
    answers = iter([read((str(tmp_path / "rows.parquet"),)), (("another", 1, 2, 3),)])
    monkeypatch.setattr(parquet_source, "fingerprint", lambda files: next(answers))
    with pytest.raises(SourceChangedError, match="Run the same request again"):
        job.to_arrow()


def large(count: int = 1_500_000) -> dict[str, Any]:
    """Rows of about 100 MB, nine keys, in no order."""
    random = np.random.default_rng(1)
    times = pa.array(random.integers(0, 10**12, count) + 10**15).cast(pa.timestamp("us", tz="UTC"))
    wide = {f"f{i}": random.random(count) for i in range(5)}
    return {
        "user_id": random.integers(0, 9, count),
        "event_timestamp": times,
        "created": times,
        "score": range(count),
    } | wide


def test_a_spill_that_would_exceed_its_cap_fails_and_leaves_nothing(build: Build, tmp_path: Path) -> None:
    spill = tmp_path / "spill"
    limits = {"memory_limit": "30MB", "max_temp_directory_size": "1MB", "temp_directory": str(spill), "threads": 1}
    store = build(large(), **limits)
    with pytest.raises(OutOfResourcesError, match=r"/976.5 KiB used.*max_temp_directory_size=1MB.*Raise them"):
        ask(store)
    assert list(spill.iterdir()) == []


FILL_THE_DISK = """
import sys
import pandas as pd
from feast import FeatureStore
from intent_stores.errors import OutOfResourcesError

rows = pd.DataFrame({"user_id": [1], "event_timestamp": pd.to_datetime(["2030-01-01T00:00Z"])})
try:
    FeatureStore(".").get_historical_features(rows, ["scores:score"]).to_arrow()
except OutOfResourcesError as error:
    sys.exit(None if "No space left" in str(error) else str(error))
sys.exit("there was an answer")
"""
OWN_DISK = ("unshare", "--map-root-user", "--mount", "sh", "-c")
MOUNT = "mount -t tmpfs -o size=2m tmpfs spill"


def may_mount(folder: Path) -> bool:
    (folder / "spill").mkdir()
    try:
        return subprocess.run([*OWN_DISK, MOUNT], cwd=folder, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def test_a_disk_that_fills_during_the_join(build: Build, tmp_path: Path) -> None:
    if not may_mount(tmp_path):
        pytest.skip("needs the right to mount a disk of its own, to fill it")
    build(large(), memory_limit="30MB", temp_directory="spill", threads=1)
    command = f'{MOUNT} && "$0" -c "$1"; status=$?; [ -z "$(ls -A spill)" ] && exit $status'
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    filled = subprocess.run(
        [*OWN_DISK, command, sys.executable, FILL_THE_DISK],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert filled.returncode == 0, filled.stderr[-2000:]


def test_a_join_far_larger_than_its_memory_answers(build: Build, tmp_path: Path) -> None:
    rows, spill = large(), tmp_path / "spill"
    limits = {"memory_limit": "30MB", "temp_directory": str(spill), "threads": 1}
    moments = pd.Series(pd.to_datetime(10**15 + np.linspace(0, 10**12, 9).astype("int64"), unit="us", utc=True))
    asked = pd.DataFrame({"user_id": range(9), "event_timestamp": moments.astype("datetime64[us, UTC]")})
    table = pd.DataFrame({"user_id": rows["user_id"], "t": rows["created"].to_pandas(), "score": rows["score"]})
    expected = pd.merge_asof(asked, table.sort_values("t"), left_on="event_timestamp", right_on="t", by="user_id")
    latest = ask(build(rows, **limits), asked)["score"].to_numpy(dtype=float)
    np.testing.assert_array_equal(latest, expected["score"].to_numpy(dtype=float))
    lists = ask(build(rows, {"sequence.length": "2"}, **limits), asked)["score"]
    np.testing.assert_array_equal([seen[-1] if len(seen) else np.nan for seen in lists], latest)
    assert list(spill.iterdir()) == []


def test_default_spill_folders_are_removed(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    ask(build())
    assert list((tmp_path / "tmp").iterdir()) == []
    shutil.rmtree(tmp_path / "tmp")
