"""A server and everything it started, as one thing: started, awaited, watched, and ended with nothing left behind.

BentoML's workers are process groups of their own, so that a signal to the server's group does not reach them, and a
server that dies leaves them on the port. What it started is therefore remembered while it runs.
"""

import ctypes
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import psutil

from feature_repo.errors import DependencyDown

__all__ = ["ServerProcess", "stopping_signals"]

_READY_SECONDS = 120.0
_STOP_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stopping_signals() -> Iterator[None]:
    """While the block runs, SIGTERM and SIGHUP (a closed terminal) end it as Ctrl-C does, so that it can clean up."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class ServerProcess:
    """A server at `address`, started by `command`; its output goes to `sink`."""

    def __init__(self, command: list[str], environment: dict[str, str], address: str, sink: IO[Any]) -> None:
        self.address = address
        self._log = sink.name
        self._server = subprocess.Popen(  # noqa: S603  our own command
            command,
            env=environment,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        self._family = {psutil.Process(self._server.pid)}

    @property
    def pid(self) -> int:
        """The server's own process id; its workers are children."""
        return self._server.pid

    def wait_until_ready(self) -> None:
        """Return when `/readyz` answers 200.

        Raises:
            DependencyDown: the server ends, or is not ready within two minutes; the message tells why.
        """
        deadline, reason = time.monotonic() + _READY_SECONDS, "it did not answer"
        while time.monotonic() < deadline:
            self._require_alive("before it was ready")
            try:
                with urllib.request.urlopen(f"{self.address}/readyz", timeout=5):  # noqa: S310  http on loopback
                    return
            except urllib.error.HTTPError as answer:
                reason = answer.read().decode(errors="replace")[:500]
            except OSError:
                pass
            time.sleep(0.1)
        raise DependencyDown(
            f"The service is not ready after {_READY_SECONDS:.0f} s: {reason}. Expected /readyz to answer 200. "
            f"Materialise the online store, or look at its log: {self._log}."
        )

    def wait_for_interrupt(self) -> None:
        """Return at Ctrl-C, SIGTERM or SIGHUP.

        Raises:
            DependencyDown: the server ended by itself.
        """
        with suppress(KeyboardInterrupt):
            while True:
                self._require_alive("while it served")
                time.sleep(0.5)

    def stop(self) -> None:
        """End the server and all it started: asked first, killed after ten seconds."""
        self._remember()
        if self._server.poll() is None:
            self._server.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._server.wait(_STOP_SECONDS)
        survivors = [process for process in self._family if process.is_running()]
        for process in survivors:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        for process in psutil.wait_procs(survivors, _STOP_SECONDS)[1]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._server.wait(_STOP_SECONDS)

    def _require_alive(self, when: str) -> None:
        self._remember()
        if self._server.poll() is not None:
            raise DependencyDown(
                f"The service ended with {self._server.returncode} {when}; expected it to go on. Its log says why: "
                f"{self._log}."
            )

    def _remember(self) -> None:
        with suppress(psutil.NoSuchProcess):
            self._family |= set(psutil.Process(self._server.pid).children(recursive=True))


def _end_with_parent() -> None:
    """Ask the kernel to end the server when this process is killed without a chance to do it (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
