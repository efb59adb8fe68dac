"""A server leaves nothing behind: not when asked to stop, not when its parent is ended, not when it dies itself."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from feature_repo.errors import DependencyDown
from intent_cli.server_process import ServerProcess, stopping_signals

# A server with a worker that is a process group of its own and ignores SIGTERM, as a stubborn one would.
SERVER = """
import http.server, subprocess, sys
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
worker = subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
open(sys.argv[2], "w").write(str(worker.pid))
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *a): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""
CALLER = """
import sys
from intent_cli.server_process import ServerProcess, stopping_signals
with open("/dev/null", "w") as sink, stopping_signals():
    server = ServerProcess(sys.argv[3:], {}, "http://127.0.0.1:" + sys.argv[1], sink)
    try:
        server.wait_until_ready()
        open(sys.argv[2], "w").write("ready")
        server.wait_for_interrupt()
    finally:
        server.stop()
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def command(port: int, pid_file: Path) -> list[str]:
    return [sys.executable, "-c", SERVER, str(port), str(pid_file)]


def gone(pid: int, within: float = 15.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_stop_ends_the_server_and_a_stubborn_worker(port, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("intent_cli.server_process._STOP_SECONDS", 2.0)
    with Path(os.devnull).open("w") as sink:
        server = ServerProcess(command(port, tmp_path / "pid"), dict(os.environ), f"http://127.0.0.1:{port}", sink)
        server.wait_until_ready()
        server.stop()
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_server_that_dies_is_noticed_and_its_worker_ended(port, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("intent_cli.server_process._STOP_SECONDS", 2.0)
    with Path(os.devnull).open("w") as sink:
        server = ServerProcess(command(port, tmp_path / "pid"), dict(os.environ), f"http://127.0.0.1:{port}", sink)
        try:
            server.wait_until_ready()
            server._remember()
            os.kill(server._server.pid, signal.SIGKILL)
            with pytest.raises(DependencyDown, match="while it served"):
                server.wait_for_interrupt()
        finally:
            server.stop()
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_the_caller_ends_everything(port, tmp_path, number) -> None:
    arguments = [str(port), str(tmp_path / "ready"), *command(port, tmp_path / "pid")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    caller = subprocess.Popen([sys.executable, "-c", CALLER, *arguments], env=environment)
    deadline = time.monotonic() + 30
    while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    caller.send_signal(number)
    assert caller.wait(40) is not None
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_server_that_ends_at_once_says_so(port) -> None:
    with Path(os.devnull).open("w") as sink:
        server = ServerProcess([sys.executable, "-c", "raise SystemExit(7)"], {}, f"http://127.0.0.1:{port}", sink)
        with pytest.raises(DependencyDown, match="ended with 7 before it was ready"):
            server.wait_until_ready()
        server.stop()


def test_signals_are_as_before_afterwards() -> None:
    of_the_runner = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with stopping_signals():
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, of_the_runner)
