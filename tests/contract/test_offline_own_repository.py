"""The store in anybody's Feast repository: named by class path, with nothing else of this project imported."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
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

THREE_LINES = """
offline_store:
    type: intent_stores.offline_asof.AsofOfflineStore
    filter_by_created_timestamp: true
"""

QUESTION = """
import importlib.util
import json
import sys
from pathlib import Path

import pandas as pd
from feast import FeatureStore
from feast.data_source import PushMode

rows = pd.read_parquet("data/driver_stats.parquet")
# The template's rows all become known at once, when it is made.
known = rows["created"].max().tz_localize("UTC") + pd.Timedelta(minutes=1)
earlier = known - pd.Timedelta(hours=30)
asked = pd.DataFrame({"driver_id": [1003, 1001, 7, 1001], "event_timestamp": [known, known, known, earlier]})
asked = asked.assign(label=[3, 2, 1, 0], val_to_add=1, val_to_add_2=2)
by = {"left_on": "event_timestamp", "right_on": "at", "by": "driver_id"}
history = rows.assign(at=rows["event_timestamp"].astype("datetime64[us, UTC]")).sort_values("at", kind="stable")
asked["event_timestamp"] = asked["event_timestamp"].astype("datetime64[us, UTC]")
plain = pd.merge_asof(asked.reset_index().sort_values("event_timestamp"), history, **by).sort_values("index")

def ask(yaml):
    store = FeatureStore(repo_path=".", fs_yaml_file=Path(yaml))
    return store.get_historical_features(asked, store.get_feature_service("driver_activity_v2")).to_df()

def listed(column):
    return [None if pd.isna(value) else float(value) for value in column]

strict, loose = ask("feature_store.yaml"), ask("loose.yaml")
store = FeatureStore(".")
store.materialize(known - pd.Timedelta(days=2), known)
fields = ["driver_hourly_stats:conv_rate", "driver_hourly_stats:driver_metadata"]
online = store.get_online_features(fields, [{"driver_id": 1001}]).to_dict()
pushed = rows.tail(1).assign(driver_id=1001, event_timestamp=known, created=known, conv_rate=0.25)
store.push("driver_stats_push_source", pushed, to=PushMode.ONLINE_AND_OFFLINE)
fresh = store.get_online_features(["driver_hourly_stats_fresh:conv_rate"], [{"driver_id": 1001}]).to_dict()
print(json.dumps({
    "expected": listed(plain["conv_rate"]),
    "strict": listed(strict["conv_rate"]),
    "loose": listed(loose["conv_rate"]),
    "on demand": listed(loose["conv_rate_plus_val2"]),
    "labels": strict["label"].tolist(),
    "online": online["conv_rate"][0],
    "metadata": online["driver_metadata"][0],
    "metadata in the file": dict(history[history.driver_id == 1001]["driver_metadata"].iloc[-1]),
    "pushed": fresh["conv_rate"][0],
    "after the push": listed(ask("feature_store.yaml")["conv_rate"]),
    "files": sum(1 for _ in Path("data").glob("*.parquet")),
    "package": sys.modules["intent_stores"].__file__,
    "foreign": [n for n in ("feature_repo", "training", "services", "intent_cli") if importlib.util.find_spec(n)],
}))
"""


def run(folder: Path, *command: str, path: str = str(ROOT)) -> str:
    environment = {"PATH": str(Path(sys.executable).parent), "PYTHONPATH": path, "HOME": str(folder)}
    environment |= {"FEAST_USAGE": "False"}
    finished = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("setuptools", minversion="77")
    pytest.importorskip("pip")
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "intent_stores", folder / "package", ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet", "--wheel-dir", str(folder)]
    run(folder, sys.executable, "-m", "pip", "wheel", *options, str(folder / "package"))
    [built] = folder.glob("intent_stores-*.whl")
    return built


def test_the_package_is_a_wheel_of_its_own(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"intent_stores"}
    assert {"intent_stores/offline_asof.py", "intent_stores/py.typed"} <= set(names)


def test_installed_alone_it_works_in_a_directory_that_feast_init_made(wheel: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    options = ["--no-deps", "--no-index", "--quiet", "--target", str(alone)]
    run(tmp_path, sys.executable, "-m", "pip", "install", *options, str(wheel))
    assert {path.name.split("-")[0] for path in alone.iterdir()} == {"intent_stores"}
    # Without `site` nothing that this checkout installed by reference is found, only packages.
    python = [sys.executable, "-S", "-c"]
    path = os.pathsep.join([str(alone), sysconfig.get_path("purelib")])
    feast = "import sys; from feast.cli.cli import cli; sys.exit(cli())"
    run(tmp_path, *python, feast, "init", "my_project", path=path)
    folder = tmp_path / "my_project" / "feature_repo"
    yaml = (folder / "feature_store.yaml").read_text() + THREE_LINES
    (folder / "feature_store.yaml").write_text(yaml)
    (folder / "loose.yaml").write_text(yaml.replace("timestamp: true", "timestamp: false"))
    run(folder, *python, feast, "apply", path=path)
    told = json.loads(run(folder, *python, QUESTION, path=path).splitlines()[-1])
    assert told["loose"] == told["expected"]
    assert None not in told["expected"][:2] + told["expected"][3:]
    assert told["strict"] == [*told["expected"][:3], None]
    assert told["labels"] == [3, 2, 1, 0]
    assert told["on demand"][2] is None
    known = [0, 1, 3]
    assert [told["on demand"][i] for i in known] == pytest.approx([told["expected"][i] + 2 for i in known], rel=1e-6)
    assert told["online"] == told["expected"][1]
    assert told["metadata"] == told["metadata in the file"]
    assert told["pushed"] == told["after the push"][1] == 0.25
    assert told["files"] == 2
    assert told["package"].startswith(str(alone))
    assert told["foreign"] == []


def test_the_package_imports_nothing_else_of_this_project() -> None:
    code = (
        "import sys, intent_stores.offline_asof\n"
        "names = {m.split('.')[0] for m in sys.modules}\n"
        "print(sorted(names & {'feature_repo', 'training', 'services', 'intent_cli', 'tensorflow', 'bentoml', 'ibis'}))"
    )
    assert run(ROOT, sys.executable, "-c", code).strip() == "[]"


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
