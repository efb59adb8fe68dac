"""Servers that a test starts for itself: Redis and PostgreSQL on free ports and in folders of their own.

Such a server may be killed, frozen, filled or flushed; the running ones, which `INTENT_TEST_REDIS_URL` and
`INTENT_TEST_POSTGRES_URL` name, never. The fixtures `private_redis` and `private_postgres` start one and end it.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

_START_SECONDS = 30


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class PrivateServer:
    """A server process: started, killed, frozen and thawed; what it stored stays in its folder."""

    name: str
    url: str
    process: subprocess.Popen

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()

    def start(self, *options: str) -> None:
        """Start it with more options, and return when it answers."""
        self.process = self._launch(*options)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if self._answers():
                return
            time.sleep(0.02)
        raise AssertionError(f"{self.name} on port {self.port} did not start; its log:\n{self._log()}")

    def stop(self) -> None:
        """End it as an operator does."""
        self.process.terminate()
        self.process.wait(20)

    def kill(self) -> None:
        """End it and all its children as `kill -9` does; harmless if it has ended."""
        family = self._family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, 10)
        self.process.wait(10)

    def freeze(self) -> None:
        """Stop it and all its children in the middle of what they do (SIGSTOP)."""
        for process in self._family():
            process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        for process in self._family():
            process.send_signal(signal.SIGCONT)

    def _family(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def _launch(self, *options: str) -> subprocess.Popen:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError

    def _log(self) -> str:
        path = self.folder / "server.log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""


class PrivateRedis(PrivateServer):
    """One Redis without snapshots; a test may make `url` name another database, a user or TLS."""

    name = "redis-server"

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self.options = options
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def _launch(self, *options: str) -> subprocess.Popen:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--save", "", "--logfile", str(self.folder / "server.log"), *self.options, *options]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
            probe.sendall(b"PING\r\n")
            return probe.recv(64)[:5] in (b"+PONG", b"-NOAU")
        return False

    def says(self, *command: str) -> str:
        """Return what redis-cli prints."""
        asked = ["redis-cli", "-p", str(self.port), *command]
        return subprocess.run(asked, check=True, capture_output=True, text=True, timeout=10).stdout


class PrivatePostgres(PrivateServer):
    """One PostgreSQL cluster. Its superuser is `postgres`, without a password, on loopback only."""

    name = "postgres"

    def __init__(self, folder: Path, programs: Path) -> None:
        super().__init__(folder)
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._programs = programs
        self._data = folder / "data"
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(folder, account.pw_uid, account.pw_gid)

    def create(self) -> None:
        """Make the cluster's files."""
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        command = [str(self._programs / "initdb"), "-D", str(self._data), *options]
        subprocess.run(command, check=True, capture_output=True, user=self._user, cwd="/")

    def _launch(self, *options: str) -> subprocess.Popen:
        # fsync guards against the machine's end, not the server's: what a killed process wrote, the system keeps.
        settings = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"]
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port), *settings, *options]
        with (self.folder / "server.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, user=self._user, cwd="/")

    def _answers(self) -> bool:
        command = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0


@contextlib.contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[PrivateRedis]:
    """Start a Redis below `folder`; skips where there is no redis-server."""
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server here")
    server = PrivateRedis(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def running_redis_cluster(folder: Path, size: int = 3) -> Iterator[list[PrivateRedis]]:
    """Start a Redis Cluster of masters without replicas; `url` of each is the cluster's."""
    if shutil.which("redis-server") is None or shutil.which("redis-cli") is None:
        pytest.skip("no redis-server and redis-cli here")
    with contextlib.ExitStack() as running:
        servers = []
        for place in range(size):
            (folder / str(place)).mkdir()
            options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
            servers.append(running.enter_context(running_redis(folder / str(place), *options)))
            servers[-1].url += "?cluster=true"
        addresses = [f"127.0.0.1:{server.port}" for server in servers]
        create = ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"]
        subprocess.run(create, check=True, capture_output=True, timeout=60)
        deadline = time.monotonic() + _START_SECONDS
        while not all(server.says("cluster", "info").startswith("cluster_state:ok") for server in servers):
            assert time.monotonic() < deadline, "the cluster's servers do not agree"
            time.sleep(0.05)
        yield servers


@contextlib.contextmanager
def running_postgres() -> Iterator[PrivatePostgres]:
    """Start a PostgreSQL in a folder of its own; skips where its programs are not installed."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server here")
    # Not below pytest's folder: the user that the server runs as may not enter it.
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        server = PrivatePostgres(Path(name), programs)
        server.create()
        try:
            server.start()
            yield server
        finally:
            server.kill()


def postgres_programs() -> Path | None:
    """Return the newest folder with PostgreSQL's server programs, or None."""
    beside = [Path(found).resolve().parent for found in [shutil.which("pg_ctl")] if found]
    folders = [*beside, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    needed = ("initdb", "postgres", "pg_isready")
    return next((folder for folder in folders if all((folder / name).exists() for name in needed)), None)
