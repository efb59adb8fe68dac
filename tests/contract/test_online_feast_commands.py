"""The stores behind Feast's own commands and server, in anybody's repository."""

import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from feast import FeatureStore
from feast.cli.cli import cli

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC).replace(microsecond=0)

DEFINITIONS = """
from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, PushSource
from feast.types import Array, Float64, Int64
from feast.value_type import ValueType

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
rows = FileSource(name="rows", path="rows.parquet", timestamp_field="event_timestamp")
clicks = PushSource(name="clicks", batch_source=rows)
stats = FeatureView(
    name="stats", entities=[user], ttl=timedelta(days=1), source=clicks,
    schema=[Field(name="score", dtype=Float64), Field(name="recent", dtype=Array(Int64))],
)
"""


class Repository:
    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.project = folder, f"t{uuid.uuid4().hex[:12]}"
        settings = "type: intent_stores.online_packed_sqlite.PackedSqliteOnlineStore\n    path: online.db"
        if kind == "redis":
            pytest.importorskip("redis")
            url = os.environ.get("INTENT_TEST_REDIS_URL") or pytest.skip("INTENT_TEST_REDIS_URL names no Redis")
            settings = f"type: intent_stores.online_packed_redis.PackedRedisOnlineStore\n    url: {url}"
            settings += "\n    read_budget_ms: 1000"
        (folder / "feature_store.yaml").write_text(
            f"project: {self.project}\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"
            f"online_store:\n    {settings}\n"
            "offline_store:\n    type: intent_stores.offline_asof.AsofOfflineStore\n"
        )
        (folder / "definitions.py").write_text(DEFINITIONS)
        moment = pa.array([NOW - timedelta(hours=1)] * 2, pa.timestamp("us", tz="UTC"))
        table = {"user_id": ["a", "b"], "score": [1.5, None], "recent": [[1, 2], []], "event_timestamp": moment}
        pq.write_table(pa.table(table), folder / "rows.parquet")
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "FEAST_USAGE": "False"}

    def feast(self, *command: str) -> str:
        done = subprocess.run(
            [self.program, *command], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    @property
    def program(self) -> str:
        return str(Path(sys.executable).parent / "feast")


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_feast_serve_reads_and_takes_pushes(kind: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path, kind)
    store = FeatureStore(str(tmp_path))
    found = runpy.run_path(str(tmp_path / "definitions.py"))
    store.apply([found["user"], found["clicks"], found["stats"]])
    try:
        store.materialize_incremental(NOW + timedelta(seconds=1))
        served(repository)
    finally:
        store.teardown()


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_feast_plan_shows_deleted_views_and_deletes_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # Feast goes there by itself and stays: this leads back
    Repository(tmp_path, kind)
    store, path = FeatureStore(str(tmp_path)), tmp_path / "definitions.py"
    found = runpy.run_path(str(path))
    store.apply([found["user"], found["clicks"], found["stats"]])
    try:
        store.materialize_incremental(NOW + timedelta(seconds=1))
        path.write_text(DEFINITIONS.split("stats =")[0])
        told = CliRunner().invoke(cli, ["--chdir", str(tmp_path), "plan"])
        assert (told.exit_code, "Deleted feature view stats" in told.output) == (0, True), told.output
        assert store.get_online_features(["stats:score"], [{"user_id": "a"}]).to_dict()["score"] == [1.5]
    finally:
        store.teardown()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_feasts_commands(kind: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path, kind)
    repository.feast("apply")
    repository.feast("materialize-incremental", (NOW + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S"))
    served(repository)
    definitions = (tmp_path / "definitions.py").read_text()
    (tmp_path / "definitions.py").write_text(definitions.split("stats =")[0])
    assert re.search(r"(Deleted|Removed).*stats", repository.feast("plan"), re.DOTALL)
    repository.feast("apply")
    repository.feast("teardown")


def served(repository: Repository) -> None:
    """Ask and push through `feast serve`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [repository.program, "serve", "--host", "127.0.0.1", "--port", str(port)],
        cwd=repository.folder, env=repository.environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_healthy(address, server)
        asked = {"features": ["stats:score", "stats:recent"], "entities": {"user_id": ["a", "b", "c"]}}
        assert values_of(post(f"{address}/get-online-features", asked)) == {
            "user_id": ["a", "b", "c"], "score": [1.5, None, None], "recent": [[1, 2], [], None]
        }  # fmt: skip
        moment = NOW.strftime("%Y-%m-%d %H:%M:%S")
        pushed = {"user_id": ["c"], "score": [9.5], "recent": [[7]], "event_timestamp": [moment]}
        post(f"{address}/push", {"push_source_name": "clicks", "df": pushed, "to": "online"})
        assert values_of(post(f"{address}/get-online-features", asked))["score"] == [1.5, None, 9.5]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def wait_until_healthy(address: str, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert server.poll() is None, f"feast serve ended with {server.returncode}"
        try:
            if httpx.get(f"{address}/health", timeout=2).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError("feast serve was not healthy within 90 s")


def post(address: str, body: dict[str, Any]) -> Any:
    answer = httpx.post(address, json=body, timeout=20)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def values_of(answer: Any) -> dict[str, list[Any]]:
    names = answer["metadata"]["feature_names"]
    return {name: result["values"] for name, result in zip(names, answer["results"], strict=True)}
