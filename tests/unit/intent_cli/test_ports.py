"""A server on any port that is free: another process may take it before the server listens."""

import socket
import sys
from dataclasses import dataclass

import httpx
import pytest

from feature_repo.errors import DependencyDown
from intent_cli import bento_server

SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
HTTPServer.allow_reuse_address = False
HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""


@dataclass
class _Served:
    """What `running` needs of a bento: a command line and an environment."""

    code: str = SERVER

    def command(self, port: int, host: str) -> list[str]:
        return [sys.executable, "-c", self.code, str(port)]

    def environment(self, workers: int, keys: dict[str, str] | None) -> dict[str, str]:
        return {}


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_was_taken_meanwhile_is_left_for_another(taken, tmp_path, monkeypatch):
    ports = iter([taken, taken, bento_server.free_port()])
    monkeypatch.setattr(bento_server, "free_port", lambda: next(ports))
    with bento_server.running(_Served(), None, log=_log(tmp_path)) as server:
        assert server.address != f"http://127.0.0.1:{taken}"
        assert httpx.get(f"{server.address}/readyz").status_code == 200
    assert next(ports, None) is None


def test_it_is_not_tried_for_ever(taken, tmp_path, monkeypatch):
    monkeypatch.setattr(bento_server, "free_port", lambda: taken)
    with pytest.raises(DependencyDown, match=r"served\.log"), bento_server.running(_Served(), None, log=_log(tmp_path)):
        pass
    assert _log(tmp_path).read_text().count("Address already in use") == 3


def test_what_ends_for_another_reason_is_started_once_and_its_log_is_named(tmp_path):
    _log(tmp_path).write_text("of another server: Address already in use\n")
    bento = _Served("raise SystemExit('a setting is wrong')")
    with pytest.raises(DependencyDown, match=r"served\.log"), bento_server.running(bento, None, log=_log(tmp_path)):
        pass
    assert _log(tmp_path).read_text() == "of another server: Address already in use\na setting is wrong\n"


def _log(folder):
    return folder / "served.log"
