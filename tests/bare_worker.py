"""BentoML's own worker of a built bento, on a socket of the test: without what `bentoml serve` does before."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from intent_cli.bento_server import Bento

__all__ = ["WORKER", "bare_worker"]

WORKER = ["-m", "_bentoml_impl.worker.service"]


@contextmanager
def bare_worker(bento: Bento, log: Path, host: str = "127.0.0.1", program: list[str] = WORKER) -> Iterator[str]:
    """Run a worker while the block runs, and yield its address on the loopback; it answers once it has started.

    `program` is how Python is told to run it, and `log` takes what it says.
    """
    name, version = bento.tag.split(":")
    with socket.socket() as listener, log.open("w") as sink:
        listener.bind((host, 0))
        listener.listen()
        worker = subprocess.Popen(
            [sys.executable, *program, bento.tag, "--fd", str(listener.fileno())],
            env=os.environ | bento.environment(1),
            cwd=bento.home / "bentos" / name / version / "src",
            pass_fds=[listener.fileno()],
            stdout=sink,
            stderr=sink,
        )
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            worker.terminate()
            worker.wait(30)
