"""What tests share: a copy of the repository in which the demo ran on a 5 % sample.

With `INTENT_PROFILE=production` that run, and all commands of it, stand on the servers that `INTENT_TEST_REDIS_URL` and
`INTENT_TEST_POSTGRES_URL` name, in a project and a schema of its own.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from tests.own_certificate import Certificate, own_certificate
from tests.production import production_environment
from tests.servers import PrivatePostgres, PrivateRedis, running_postgres, running_redis

# A busy machine is no reason to fail: a timing is asserted only where it is promised, as the best of several tries.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parents[1]
PROFILE = os.environ.get("INTENT_PROFILE") or "local"


@dataclass(frozen=True)
class SampleRun:
    """A copy of the repository, its run of the demo, and the environment in which to run more commands there."""

    folder: Path
    environment: dict[str, str]
    demo_output: str

    @property
    def is_on_servers(self) -> bool:
        return "INTENT_PROFILE" in self.environment

    @property
    def out(self) -> Path:
        return self.folder / "artifacts" / "demo"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.environment['PORT']}"

    def run(self, command: list[str], expect: int = 0, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        assert done.returncode == expect, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done


SHARED = "sample_run"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests together that share what is dear: those of one file, and all that use the run of the demo."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            group = SHARED if SHARED in getattr(item, "fixturenames", ()) else item.nodeid.partition("::")[0]
            item.add_marker(pytest.mark.xdist_group(group))
    # The longest group begins first; in it the pages come last, whose commands leave their marks on the run.
    items.sort(key=lambda item: (SHARED not in getattr(item, "fixturenames", ()), "test_documentation" in item.nodeid))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to go on where tests that share something would be spread over the workers all the same."""
    grouped = getattr(session.config.option, "loadgroup", False)
    if grouped and any("@" not in item.nodeid for item in session.items):
        raise pytest.UsageError("pytest-xdist does not group tests by this pytest; expected the pinned versions.")


@pytest.fixture(autouse=True)
def stays_in_its_folder() -> Iterator[None]:
    """Fail the test that leaves its process in another folder, not one of those that run after it."""
    before = Path.cwd()
    yield
    after = Path.cwd()
    os.chdir(before)
    assert after == before, f"the test left its process in {after}; monkeypatch.chdir leads back"


@pytest.fixture(scope="session", autouse=True)
def _no_profile_but_the_samples() -> Iterator[None]:
    """Of the tests' own processes none stands on a profile, unless a test says so."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("INTENT_PROFILE", "PROFILE"):
            patched.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory, _no_profile_but_the_samples: None) -> Iterator[SampleRun]:
    folder = tmp_path_factory.mktemp("sample") / "purchase-intent"
    copy_of_repository(folder)
    (folder.parent / "installed").touch()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "INTENT_SAMPLE": "0.05",
        "PORT": str(port),
        "PYTHONPATH": str(folder),
        # The shared environment counts as installed: `make setup` would point it at this copy, which is soon gone.
        "MAKEFLAGS": f"INSTALLED={folder.parent / 'installed'}",
    }
    for name in ("BENTOML_HOME", "INTENT_OUT", "INTENT_ONLINE_URL", "INTENT_OUTBOX_URL"):
        environment.pop(name, None)
    with production_environment(folder.parent) if PROFILE == "production" else nullcontext({}) as servers:
        yield demo_on_a_sample(folder, environment | servers)


def demo_on_a_sample(folder: Path, environment: dict[str, str]) -> SampleRun:
    done = subprocess.run(
        ["make", "demo"], cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, f"make demo on a sample ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return SampleRun(folder, environment, done.stdout)


def copy_of_repository(folder: Path) -> None:
    """Copy what belongs to the repository, with its times, and share the environment that the tests run in."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(Path(sys.prefix))


@pytest.fixture(scope="session")
def tiny_bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of four small members; read only."""
    from tests.tiny_shop import write_tiny_bundle

    folder = tmp_path_factory.mktemp("tiny")
    return write_tiny_bundle(folder / "bundle", folder / "members")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for the loopback address that nobody else trusts."""
    return own_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def private_redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    """A Redis of the test's own, which it may kill, freeze, fill and flush."""
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture
def private_postgres() -> Iterator[PrivatePostgres]:
    """A PostgreSQL of the test's own, which it may stop, kill and freeze."""
    with running_postgres() as server:
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the fault tests counted: each `record_property("fault", "what: how many, what came of it")`."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    counted = [text for report in reports for name, text in getattr(report, "user_properties", []) if name == "fault"]
    if counted:
        terminalreporter.section("faults survived" if not terminalreporter.stats.get("failed") else "faults")
        for text in sorted(counted):
            terminalreporter.write_line(text)
