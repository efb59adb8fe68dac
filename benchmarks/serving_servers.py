"""The three servers of the serving benchmark, each a process of its own: an echo, the naive service, and ours."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from intent_cli.bento_server import Bento, free_port
from intent_cli.online_address import profile_address
from intent_cli.server_process import ServerProcess
from training.packaging.publish import bentoml_environment, publish

__all__ = ["Server", "echo", "naive", "ours"]

_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Server:
    """A server that answers, how long and how much processor time it took to be ready, and its process."""

    name: str
    address: str
    ready_seconds: float
    process: psutil.Process
    start_processor: float = 0.0

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes that answer requests."""
        family = self.process.children(recursive=True)
        return [child for child in family if "worker" in " ".join(child.cmdline())]

    def megabytes(self) -> float:
        """Resident memory of the largest worker."""
        return max((worker.memory_info().rss / 2**20 for worker in self.workers), default=float("nan"))

    def processor(self) -> float:
        """Processor seconds that the workers have used."""
        return sum(sum(worker.cpu_times()[:2]) for worker in self.workers)

    def files(self) -> int:
        """Open file descriptors of all workers."""
        return sum(worker.num_fds() for worker in self.workers)


@contextmanager
def echo(folder: Path) -> Iterator[Server]:
    """Serve the echo while the block runs."""
    with _running("echo", "benchmarks.peers.echo_service:Echo", bentoml_environment(folder / "echo"), folder) as server:
        yield server


@contextmanager
def naive(folder: Path, out: Path) -> Iterator[Server]:
    """Serve the naive service over the run in `out` while the block runs."""
    environment = bentoml_environment(folder / "naive") | {"BENCHMARK_RUN": str(out.resolve())}
    with _running("naive", "benchmarks.peers.naive_service:Naive", environment, folder) as server:
        yield server


@contextmanager
def ours(folder: Path, out: Path, workers: int = 1) -> Iterator[Server]:
    """Serve the bento of the sources that are here, with the bundle of the run in `out`, while the block runs."""
    published = publish(out / "bundle", home=folder / "home")
    bento = Bento(published.bento, published.home, profile_address(out))
    port = free_port()
    with _served("ours", bento.command(port), bento.environment(workers), port, folder) as server:
        yield server


@contextmanager
def _running(name: str, service: str, environment: dict[str, str], folder: Path) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--timeout-keep-alive", "75", "--working-dir", str(_ROOT)]
    with _served(name, command, environment | {"PYTHONPATH": str(_ROOT)}, port, folder) as server:
        yield server


@contextmanager
def _served(name: str, command: list[str], environment: dict[str, str], port: int, folder: Path) -> Iterator[Server]:
    environment = os.environ | environment | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    with (folder / f"{name}.log").open("w") as log:
        begun = time.perf_counter()
        process = ServerProcess(command, environment, f"http://127.0.0.1:{port}", log)
        try:
            process.wait_until_ready()
            ready = time.perf_counter() - begun
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            used = sum(sum(one.cpu_times()[:2]) for one in family)
            yield Server(name, process.address, ready, psutil.Process(process.pid), used)
        finally:
            process.stop()
