"""The bento where nothing of this repository is: its own requirements by plain pip, another folder, no PYTHONPATH."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.online_store import write_online_store
from tests.servers import free_port
from training.packaging.publish import publish

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
BODY = {"user_id": "00000005", "at": "2001-02-19T00:00:00Z"}


@pytest.fixture(scope="module")
def place(tiny_bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with BentoML's home, an online store, and an environment with the bento's requirements alone."""
    place = tmp_path_factory.mktemp("elsewhere")
    published = publish(tiny_bundle_folder, home=place / "home")
    write_online_store(place / "online.db")
    requirements = place / "home" / "bentos" / published.bento.replace(":", "/") / "env" / "python" / "requirements.txt"
    subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
    require_index(place)
    # BentoML appends its own name to the file without a hash; pip takes the hash of the pinned line above it.
    pip(place, "install", "--quiet", "--no-cache-dir", "--require-hashes", "-r", str(requirements))
    return place


def require_index(place: Path) -> None:
    tried = pip(place, "download", "--no-deps", "--dest", str(place / "probe"), "idna", check=False)
    if tried.returncode != 0:
        pytest.skip(f"no package index answers: {tried.stderr.strip().splitlines()[-1]}")


def pip(place: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [str(place / "venv" / "bin" / "python"), "-m", "pip", *arguments]
    done = subprocess.run(command, cwd=place, env=bare(), capture_output=True, text=True, timeout=1200, check=False)
    assert not check or done.returncode == 0, done.stderr[-4000:]
    return done


def bare() -> dict[str, str]:
    """The environment without what leads back to this repository or its own environment."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "BENTOML_HOME", "INTENT_OUT", "INTENT_ONLINE_URL")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {"PATH": "/usr/bin:/bin"}


@contextmanager
def served(place: Path) -> Iterator[tuple[str, list[psutil.Process]]]:
    port = free_port()
    own = {"BENTOML_HOME": str(place / "home"), "BENTOML_DO_NOT_TRACK": "True", "TZ": "UTC"}
    own["INTENT_ONLINE_URL"] = f"sqlite:///{place}/online.db?project=tiny"
    command = [str(place / "venv" / "bin" / "bentoml"), "serve", "purchase_intent:latest", "--port", str(port)]
    with (place / "serve.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=place, env=bare() | own, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    family: list[psutil.Process] = []
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", server, place)
        family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        yield f"http://127.0.0.1:{port}", family
    finally:
        for process in [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]:
            process.terminate()
        psutil.wait_procs(family, 20)
        server.wait(20)


def wait_until_ready(address: str, server: subprocess.Popen, place: Path) -> None:
    deadline, last = time.monotonic() + 120, "no answer"
    while time.monotonic() < deadline and server.poll() is None:
        try:
            answer = httpx.get(f"{address}/readyz", timeout=5, trust_env=False)
            if answer.status_code == 200:
                return
            last = answer.text
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError(f"not ready: {last}\n{(place / 'serve.log').read_text()[-3000:]}")


@pytest.fixture(scope="module")
def installed(place: Path) -> Iterator[tuple[str, list[psutil.Process], float]]:
    """The installed bento, served: its address, its processes, and after how many seconds it was ready."""
    begun = time.perf_counter()
    with served(place) as (address, family):
        yield address, family, time.perf_counter() - begun


def test_it_serves_a_customer(place: Path, installed: tuple, capsys: pytest.CaptureFixture[str]) -> None:
    address, family, ready = installed
    answer = httpx.post(f"{address}/score", json=BODY, timeout=20, trust_env=False)
    worker = max(process.memory_info().rss for process in family) / 2**20
    assert answer.status_code == 200, answer.text
    assert (answer.json()["degraded"], answer.json()["cold_start"]) == (False, False)
    assert {view["status"] for view in answer.json()["views"].values()} == {"fresh"}
    with capsys.disabled():
        sys.stdout.write(f"\nready after {ready:.1f} s, {worker:.0f} MB in the worker, {size(place):.0f} MB on disk\n")


def test_its_worker_has_the_loop_and_the_parser_that_the_service_is_tested_on(place: Path, installed: tuple) -> None:
    """uvicorn takes others in silence where these are not there, and then nothing is refused on the connection."""
    _, family, _ = installed
    worker = max(family, key=lambda process: process.memory_info().rss)
    loaded = {mapped.path for mapped in worker.memory_maps() if mapped.path.endswith(".so")}
    packages = {Path(path).relative_to(place / "venv").parts[3] for path in loaded if path.startswith(str(place))}
    assert {"uvloop", "httptools", "onnxruntime", "pydantic_core"} <= packages
    assert not packages & {"tensorflow", "feast", "pandas", "sklearn"}


def test_it_is_small_and_holds_nothing_of_training(place: Path) -> None:
    assert size(place) <= 1000
    listed = json.loads(pip(place, "list", "--format", "json").stdout)
    names = {item["name"].lower().replace("_", "-") for item in listed}
    assert {"bentoml", "cryptography", "onnxruntime", "prometheus-client", "xgboost-cpu", "redis", "hiredis"} <= names
    assert not names & {"feast", "pandas", "tensorflow", "tensorflow-cpu", "keras", "scikit-learn", "duckdb", "dask"}
    assert "No broken requirements" in pip(place, "check").stdout


def size(place: Path) -> float:
    """Megabytes of the environment on disk."""
    blocks = sum(path.lstat().st_size for path in (place / "venv").rglob("*") if not path.is_symlink())
    return blocks / 1e6


def test_its_modules_come_from_the_bento(place: Path) -> None:
    assert not shutil.which("intent", path=str(place / "venv" / "bin"))
    code = "import importlib.util as u; print([n for n in ('services', 'training', 'intent_stores') if u.find_spec(n)])"
    done = subprocess.run(
        [place / "venv" / "bin" / "python", "-c", code],
        cwd=place, env=bare(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
