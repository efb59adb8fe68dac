"""The store in anybody's Feast repository: named by class path, with nothing else of this project imported."""

import shutil
import subprocess
import sys
import textwrap
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.types import Float32, Int64, String
from feast.value_type import ValueType
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from intent_stores.duckdb_session import SessionLimits
from intent_stores.historical import HistoricalRequest, evaluate
from intent_stores.parquet_source import s3_settings

ROOT = Path(__file__).parents[2]
T0 = datetime(2024, 3, 1, 12, tzinfo=UTC)

DEFINITIONS = """
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Float32, Int64
from feast.value_type import ValueType

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
driver_stats_source = FileSource(
    name="driver_hourly_stats_source",
    path="data/driver_stats.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)
driver_stats = FeatureView(
    name="driver_hourly_stats",
    entities=[driver],
    ttl=timedelta(days=1),
    schema=[Field(name="conv_rate", dtype=Float32), Field(name="avg_daily_trips", dtype=Int64)],
    source=driver_stats_source,
)
driver_activity = FeatureService(name="driver_activity", features=[driver_stats])
"""

QUESTION = """
import sys
from datetime import datetime, timezone

import pandas as pd
from feast import FeatureStore

store = FeatureStore(".")
moments = pd.to_datetime(["2024-03-01T13:30Z", "2024-03-01T15:00Z", "2024-03-01T13:30Z"])
rows = pd.DataFrame({"driver_id": [1001, 1001, 9], "event_timestamp": moments})
print(store.get_historical_features(rows, store.get_feature_service("driver_activity")).to_df().to_csv(index=False))
store.materialize(datetime(2024, 3, 1, tzinfo=timezone.utc), datetime(2024, 3, 2, tzinfo=timezone.utc))
online = store.get_online_features(["driver_hourly_stats:avg_daily_trips"], [{"driver_id": 1001}])
print("online:", online.to_dict()["avg_daily_trips"])
foreign = {"training", "services", "intent_cli"} & {name.split(".")[0] for name in sys.modules}
print("foreign:", sorted(foreign))
"""


def run(folder: Path, *command: str) -> str:
    environment = {"PATH": str(Path(sys.executable).parent), "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    environment |= {"FEAST_USAGE": "False"}
    finished = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout


def test_a_directory_as_feast_init_makes_it_works_from_the_command_line(tmp_path: Path) -> None:
    folder = tmp_path / "my_project" / "feature_repo"
    (folder / "data").mkdir(parents=True)
    (folder / "feature_store.yaml").write_text(
        textwrap.dedent(
            """
            project: my_project
            registry: data/registry.db
            provider: local
            online_store:
                type: sqlite
                path: data/online_store.db
            offline_store:
                type: intent_stores.offline_asof.AsofOfflineStore
            entity_key_serialization_version: 3
            """
        )
    )
    (folder / "example_repo.py").write_text(DEFINITIONS)
    hours = [T0 + timedelta(hours=h) for h in (0, 1, 2)]
    # As `feast init` writes it: pandas, nanoseconds.
    pd.DataFrame(
        {
            "event_timestamp": hours,
            "driver_id": 1001,
            "conv_rate": np.array([0.5, 0.25, 0.75], dtype="float32"),
            "avg_daily_trips": [10, 20, 30],
            "created": [T0, T0 + timedelta(hours=1), T0 + timedelta(hours=9)],
        }
    ).to_parquet(folder / "data" / "driver_stats.parquet")
    feast = str(Path(sys.executable).parent / "feast")
    run(folder, feast, "apply")
    out = run(folder, sys.executable, "-c", QUESTION)
    assert "1001,2024-03-01 13:30:00+00:00,0.25,20" in out
    assert "1001,2024-03-01 15:00:00+00:00,0.25,20" in out
    assert "9,2024-03-01 13:30:00+00:00,," in out
    assert "foreign: []" in out
    assert "online: [30]" in out


def test_the_package_imports_nothing_else_of_this_project() -> None:
    code = (
        "import sys, intent_stores.offline_asof\n"
        "names = {m.split('.')[0] for m in sys.modules}\n"
        "print(sorted(names & {'feature_repo', 'training', 'services', 'intent_cli', 'tensorflow', 'bentoml', 'ibis'}))"
    )
    assert run(ROOT, sys.executable, "-c", code).strip() == "[]"


def test_the_package_is_a_wheel_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77")
    pytest.importorskip("pip")
    shutil.copytree(ROOT / "intent_stores", tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet", "--wheel-dir", str(tmp_path)]
    run(tmp_path, sys.executable, "-m", "pip", "wheel", *options, str(tmp_path / "package"))
    [wheel] = tmp_path.glob("intent_stores-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"intent_stores"}
    assert {"intent_stores/offline_asof.py", "intent_stores/py.typed"} <= set(names)


USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)


def ask(folder: Path, path: str) -> list[Any]:
    (folder / "feature_store.yaml").write_text(
        "project: contract\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"
        "online_store: {type: sqlite, path: online.db}\n"
        "offline_store: {type: intent_stores.offline_asof.AsofOfflineStore}\n"
    )
    source = FileSource(name="s", path=path, timestamp_field="event_timestamp")
    fields = [Field(name="score", dtype=Int64), Field(name="ratio", dtype=Float32)]
    store = FeatureStore(repo_path=str(folder))
    store.apply([USER, FeatureView(name="scores", entities=[USER], ttl=timedelta(0), schema=fields, source=source)])
    asked = pd.DataFrame({"user_id": ["a", "b", "c"], "event_timestamp": [T0 + timedelta(minutes=9)] * 3})
    return store.get_historical_features(asked, ["scores:score"]).to_arrow().column("score").to_pylist()


def part(user: str, minute: float, score: int) -> pa.Table:
    stamp = pa.array([T0 + timedelta(minutes=minute)], pa.timestamp("us", tz="UTC"))
    return pa.table(
        {"user_id": [user], "event_timestamp": stamp, "score": [score], "ratio": pa.array([0.5], pa.float32())}
    )


@pytest.mark.parametrize("path", ["my data", "my data/*.parquet", "my data/**/*.parquet", "my data/1.parquet"])
def test_a_folder_a_glob_and_a_file(tmp_path: Path, path: str) -> None:
    (tmp_path / "my data").mkdir()
    pq.write_table(part("a", 0, 1), tmp_path / "my data" / "0.parquet")
    pq.write_table(part("b", 0, 2), tmp_path / "my data" / "1.parquet")
    assert ask(tmp_path, path) == ([None, 2, None] if path.endswith("1.parquet") else [1, 2, None])


def test_hive_folders_below_the_source_become_columns(tmp_path: Path) -> None:
    base = tmp_path / "run=7"
    for user in ("a", "b"):
        (base / "rows" / f"user_id={user}").mkdir(parents=True)
        table = part(user, 0, ord(user)).drop_columns("user_id")
        pq.write_table(table, base / "rows" / f"user_id={user}" / "0.parquet")
    assert ask(base, "rows") == [97, 98, None]


def test_files_whose_columns_stand_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    pq.write_table(part("a", 0, 1), tmp_path / "rows" / "0.parquet")
    pq.write_table(
        part("b", 0, 2).select(["ratio", "score", "event_timestamp", "user_id"]), tmp_path / "rows" / "1.parquet"
    )
    assert ask(tmp_path, "rows") == [1, 2, None]


def test_a_path_with_characters_that_mean_something_to_a_glob(tmp_path: Path) -> None:
    (tmp_path / "a[1]'s").mkdir()
    pq.write_table(part("a", 0, 1), tmp_path / "a[1]'s" / "0.parquet")
    assert ask(tmp_path, "a[1]'s") == [1, None, None]


class Bucket(DirFileSystem):
    """A local folder that answers as s3://, where DuckDB's own reader of it would."""

    protocol = "s3"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("s3://")


@pytest.mark.parametrize(
    "path", ["s3://bucket/rows", "s3://bucket/rows/*/*.parquet", "s3://bucket/rows/day=1/0.parquet"]
)
def test_remote_paths_are_read_by_duckdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    for number, user in enumerate("ab"):
        (tmp_path / f"bucket/rows/day={number}").mkdir(parents=True)
        pq.write_table(part(user, 0, number + 1), tmp_path / f"bucket/rows/day={number}/0.parquet")
    connect = duckdb.connect

    def connect_with_bucket(*arguments: Any, **options: Any) -> duckdb.DuckDBPyConnection:
        connection = connect(*arguments, **options)
        connection.register_filesystem(Bucket(str(tmp_path), LocalFileSystem()))
        return connection

    monkeypatch.setattr(duckdb, "connect", connect_with_bucket)
    asked = pd.DataFrame({"user_id": ["a", "b", "c"], "event_timestamp": [T0 + timedelta(minutes=9)] * 3})
    source = FileSource(name="s", path=path, timestamp_field="event_timestamp")
    view = FeatureView(name="scores", entities=[USER], schema=[Field(name="score", dtype=Int64)], source=source)
    view.entity_columns = [Field(name="user_id", dtype=String)]
    request = HistoricalRequest(SessionLimits(), tmp_path, [view], ["scores:score"], asked, False, True)
    expected = [None, 2, None] if path.endswith("day=1/0.parquet") else [1, 2, None]
    assert evaluate(request).column("score").to_pylist() == expected


@pytest.mark.parametrize(
    ("override", "settings"),
    [
        ("localhost:9000", ["s3_endpoint = 'localhost:9000'", "s3_url_style = 'path'", "s3_use_ssl = true"]),
        ("https://store.example/", ["s3_endpoint = 'store.example'", "s3_url_style = 'path'", "s3_use_ssl = true"]),
        ("http://[::1]:9000", ["s3_endpoint = '[::1]:9000'", "s3_url_style = 'path'", "s3_use_ssl = false"]),
    ],
)
def test_another_endpoint_is_told_to_duckdb_in_its_own_words(override: str, settings: list[str]) -> None:
    source = FileSource(path="s3://bucket/rows/", timestamp_field="t", s3_endpoint_override=override)
    assert s3_settings(source) == [f"SET {setting}" for setting in settings]
