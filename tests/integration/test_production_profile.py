"""The production profile on real servers: the commands of its page give on the sample what they give on files."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.conftest import SampleRun
from tests.production import production_environment

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(1800)]  # the sample may have to be made first
OF_THE_RUN = {"request_id"}
PAGE = Path(__file__).resolve().parents[2] / "docs" / "production.md"


def commands_of_the_page() -> dict[str, list[str]]:
    """Every `intent` command of the page, by its name, in the page's order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line.split() for block in blocks for line in block.splitlines()]
    return {line[1]: line[1:] for line in lines if line[0] == "intent"}


@dataclass(frozen=True)
class ProductionRun:
    """A copy of the sample's run, and the environment that names a schema and projects of its own."""

    run: SampleRun
    out: Path
    local_out: Path
    environment: dict[str, str]

    def __call__(self, *command: str) -> Any:
        return self._told(self.out, self.environment, command)

    def local(self, *command: str) -> Any:
        """Run a command on another copy of the run, with its files."""
        return self._told(self.local_out, self.run.environment, command)

    def _told(self, out: Path, environment: dict[str, str], command: tuple[str, ...]) -> Any:
        arguments = ["intent", *command, "--out", str(out), "--json"]
        done = subprocess.run(
            arguments, cwd=self.run.folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)


@pytest.fixture
def production(sample_run: SampleRun, tmp_path: Path) -> Iterator[ProductionRun]:
    if sample_run.is_on_servers:
        pytest.skip("the demo itself ran on the servers: there is none on files to compare it with")
    out, local_out = tmp_path / "run", tmp_path / "local"
    for copy in (out, local_out):
        shutil.copytree(sample_run.out, copy)
    with production_environment(tmp_path) as servers:
        yield ProductionRun(sample_run, out, local_out, sample_run.environment | servers)


def figures(told: dict[str, Any]) -> dict[str, Any]:
    """All that a command told but what differs from run to run: its cost, and the ids of requests."""
    answers = [{key: value for key, value in each.items() if key not in OF_THE_RUN} for each in told.get("answers", [])]
    return {name: value for name, value in told.items() if name != "stage"} | {"answers": answers}


def test_the_demo_on_servers_gives_what_it_gives_on_files(production: ProductionRun) -> None:
    shutil.rmtree(production.out / "feast")  # nothing of the local run is left to read
    shutil.rmtree(production.out / "dataset")
    page = commands_of_the_page()
    assert list(page) == ["plan", "apply", "dataset", "materialize", "serve", "parity"]
    told = {name: production(*command) for name, command in page.items()}
    assert told["plan"]["unchanged"] == 0
    assert set(told["apply"]["views"]) <= set(told["plan"]["added"])
    assert told["parity"]["agrees"]
    assert production("plan") | {"unchanged": 0} == {"added": [], "deleted": {}, "changed": {}, "unchanged": 0}
    assert not list((production.out / "feast").glob("*.db"))
    for part in (production.run.out / "dataset").glob("*/*.parquet"):
        twin = production.out / "dataset" / part.relative_to(production.run.out / "dataset")
        assert pq.read_table(part).equals(pq.read_table(twin)), part.name

    brought = json.loads((production.run.out / "stages.json").read_text())["materialize"]["rows"]
    assert sum(told["materialize"]["keys"].values()) == brought
    for name in ("serve", "parity"):
        assert figures(production.local(*page[name])) == figures(told[name]), name


def test_a_server_that_is_away_is_named_and_no_password_shown(production: ProductionRun) -> None:
    environment = production.environment | {
        "INTENT_REDIS_URL": "redis://:pass-word@127.0.0.1:1/0",
        "INTENT_REGISTRY_URL": "postgresql+psycopg://me:pass-word@127.0.0.1:1/none",
    }
    command = ["intent", "apply", "--out", str(production.out)]
    done = subprocess.run(
        command, cwd=production.run.folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 3
    assert "PostgreSQL" in done.stderr or "registry" in done.stderr
    assert "pass-word" not in done.stderr
