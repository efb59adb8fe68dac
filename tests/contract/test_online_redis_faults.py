"""Redis away, frozen, slow, flushed, full or closed to us: every read is answered inside its budget, with the reason.

The tests start a server of their own on a free port and in a folder of their own.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("redis")
pytest.importorskip("hiredis")
if shutil.which("redis-server") is None:
    pytest.skip("no redis-server here", allow_module_level=True)

import redis

from intent_stores.errors import ConfigurationError, OnlineStoreUnavailableError
from intent_stores.packed_codec import RowTimes, encode_rows
from intent_stores.packed_keys import entity_keys
from intent_stores.packed_reader import PackedReader
from intent_stores.packed_redis import PackedRedisServer, redis_reader
from intent_stores.packed_view import PackedView

pytestmark = pytest.mark.faults

BUDGET = 0.025
SLACK = 0.02  # what a busy machine may hold a thread up by, nine times in ten …
STALL = 0.5  # … and the tenth time; a client that waits for a timeout or tries again takes seconds
VIEW = PackedView("stats", {"score": "Float64"}, ("user",))
USERS = [f"u{place}" for place in range(20)]


class Server:
    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options = folder, options
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self, *more: str) -> None:
        command = [
            "redis-server",
            "--port",
            str(self.port),
            "--dir",
            str(self.folder),
            "--save",
            "",
            *self.options,
            *more,
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                probe.sendall(b"PING\r\n")
                if probe.recv(64)[:5] in (b"+PONG", b"-NOAU"):
                    return
            time.sleep(0.02)
        raise AssertionError("redis-server did not start")

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    fill(server)
    yield server
    server.kill()


def fill(server: Server, value: float = 1.5) -> None:
    store = PackedRedisServer(server.url, "p")
    packed = encode_rows(VIEW.schema, {"score": np.full(len(USERS), value)}, RowTimes.of(np.full(len(USERS), 1000)))
    store.write(VIEW.name, entity_keys(VIEW.join_keys, {"user": USERS}), packed)
    store.close()


def read(reader: PackedReader) -> tuple[str, str | None, float]:
    """Return status, reason and seconds of one read; the rows of one read agree."""
    begun = time.perf_counter()
    found = reader.read_columns([VIEW], {"user": USERS}, at=1000)["stats"]
    took = time.perf_counter() - begun
    assert len(set(found.status)) == len(set(found.reason)) == 1
    return found.status[0], found.reason[0], took


def read_many(reader: PackedReader, count: int, pause: float = 0.0) -> tuple[set[str], set[str | None]]:
    answers = []
    for _ in range(count):
        answers.append(read(reader))
        time.sleep(pause)
    took = np.array([seconds for _, _, seconds in answers])
    print(f"{count} reads: slowest {took.max() * 1e3:.1f} ms, median {np.median(took) * 1e3:.2f} ms")  # noqa: T201
    assert np.quantile(took, 0.9, method="lower") < BUDGET + SLACK
    assert took.max() < STALL
    return {status for status, _, _ in answers}, {reason for _, reason, _ in answers}


def until_fresh(reader: PackedReader, seconds: float = 5.0) -> float:
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if read(reader)[0] == "fresh":
            return time.monotonic() - begun
        time.sleep(0.02)
    raise AssertionError(f"no full service within {seconds} s")


def warm(server: Server) -> PackedReader:
    reader = redis_reader(server.url, "p", BUDGET)
    until_fresh(reader)
    return reader


def test_killed_and_started_again(server: Server) -> None:
    reader = warm(server)
    server.kill()
    statuses, reasons = read_many(reader, 60, 0.01)
    assert statuses == {"missing"}
    assert all(reason and ("Redis" in reason) for reason in reasons)
    assert any(reason and "circuit open" in reason for reason in reasons)
    assert reader.trouble()
    server.start()
    fill(server)
    assert until_fresh(reader) < 5


def test_stopped_and_continued(server: Server) -> None:
    reader = warm(server)
    server.process.send_signal(signal.SIGSTOP)
    statuses, reasons = read_many(reader, 40, 0.02)
    assert statuses == {"missing"}
    assert any(reason == "Redis: no answer in time" for reason in reasons)
    server.process.send_signal(signal.SIGCONT)
    assert until_fresh(reader) < 5


def test_waiting_ends_so_early_that_the_answer_is_inside_the_budget(server: Server) -> None:
    """A busy machine may hold any one of them up, but not each of them."""
    reader = warm(server)
    server.process.send_signal(signal.SIGSTOP)
    answers = [read(reader) for _ in range(5)]
    assert {reason for _, reason, _ in answers} <= {"Redis: no answer in time", "Redis: no connection in time"}
    assert BUDGET / 2 < min(took for _, _, took in answers) < BUDGET


def test_stopped_before_the_first_read(server: Server) -> None:
    server.process.send_signal(signal.SIGSTOP)
    reader = redis_reader(server.url, "p", BUDGET)
    assert read_many(reader, 10)[0] == {"missing"}
    server.process.send_signal(signal.SIGCONT)
    assert until_fresh(reader) < 5


def test_paused_by_an_operator(server: Server) -> None:
    reader = warm(server)
    with redis.Redis(port=server.port) as client:
        client.execute_command("CLIENT", "PAUSE", "300", "ALL")
    assert read_many(reader, 5)[0] == {"missing"}
    assert until_fresh(reader) < 5


def test_a_late_answer_is_never_taken_for_anothers(server: Server) -> None:
    reader = warm(server)
    with redis.Redis(port=server.port) as client:
        client.execute_command("CLIENT", "PAUSE", "100", "ALL")
    assert read(reader)[0] == "missing"
    time.sleep(0.2)
    found = reader.read_columns([VIEW], {"user": ["nobody"]}, at=1000)["stats"]
    assert found.status.tolist() == ["missing"]


def test_flushed(server: Server) -> None:
    reader = warm(server)
    with redis.Redis(port=server.port) as client:
        client.flushall()
        client.script_flush()
    assert read_many(reader, 20) == ({"missing"}, {"absent"})
    fill(server)
    assert read(reader)[0] == "fresh"


def test_full_refuses_writes_clearly_and_still_reads(server: Server) -> None:
    reader = warm(server)
    with redis.Redis(port=server.port) as client:
        client.config_set("maxmemory", "1mb")
        with contextlib.suppress(redis.ResponseError):
            while True:
                client.set(os.urandom(8).hex(), b"x" * 20_000)
        with pytest.raises(OnlineStoreUnavailableError, match="maxmemory"):
            fill(server)
        assert read_many(reader, 50)[0] == {"fresh"}
        client.config_set("maxmemory", "0")
    fill(server)
    assert until_fresh(reader) < 5


@pytest.mark.parametrize("address", ["redis://127.0.0.1:{port}/0", "redis://:wrong@127.0.0.1:{port}/0"])
def test_wrong_or_no_password(tmp_path: Path, address: str) -> None:
    server = Server(tmp_path, "--requirepass", "secret")
    server.start()
    try:
        reader = redis_reader(address.format(port=server.port), "p", BUDGET)
        statuses, reasons = read_many(reader, 20)
        assert statuses == {"missing"}
        assert any(
            reason and ("WRONGPASS" in reason or "auth" in reason.lower() or "password" in reason) for reason in reasons
        )
        assert "secret" not in str(reasons)
        with pytest.raises(OnlineStoreUnavailableError):
            PackedRedisServer(address.format(port=server.port), "p").write("v", [b"k"], [b"x" * 40])
        right = redis_reader(f"redis://:secret@127.0.0.1:{server.port}/0", "p", BUDGET)
        time.sleep(0.1)
        assert right.trouble() is None
    finally:
        server.kill()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_tls_with_user_and_password_by_url(tmp_path: Path) -> None:
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    server = Server(tmp_path, "--user", "reader", "on", ">se:cret", "~intent:*", "+@all")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    certificates = ["--tls-cert-file", str(tmp_path / "cert.pem"), "--tls-key-file", str(tmp_path / "key.pem")]
    server.start("--tls-port", str(port), *certificates, "--tls-auth-clients", "no")
    try:
        server.url = f"rediss://reader:se%3Acret@127.0.0.1:{port}/1?ssl_ca_certs={tmp_path}/cert.pem"
        fill(server)
        reader = redis_reader(server.url, "p", BUDGET)
        until_fresh(reader)
        assert read_many(reader, 50)[0] == {"fresh"}
        stranger = redis_reader(f"rediss://127.0.0.1:{port}/1", "p", BUDGET)
        assert read_many(stranger, 10, 0.02)[0] == {"missing"}
        server.kill()
        assert read_many(reader, 10)[0] == {"missing"}
        server.start("--tls-port", str(port), *certificates, "--tls-auth-clients", "no")
        fill(server)
        assert until_fresh(reader) < 5
    finally:
        server.kill()


def test_a_server_that_drips_one_byte_at_a_time() -> None:
    """Each wait is short, all together are not: only a total deadline ends it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=drip, args=(listener,), daemon=True).start()
        reader = redis_reader(f"redis://127.0.0.1:{listener.getsockname()[1]}/0", "p", BUDGET)
        assert read_many(reader, 10, 0.02)[0] == {"missing"}


def drip(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=drip_to, args=(connection,), daemon=True).start()


def drip_to(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while request := connection.recv(65536):
            if b"MGET" not in request:
                connection.sendall(b"+OK\r\n" * max(1, request.count(b"*")))
                continue
            connection.sendall(b"*20\r\n")
            while True:
                time.sleep(0.005)
                connection.sendall(b"$")


def test_many_threads_in_and_out_of_trouble(server: Server) -> None:
    reader, wrong = warm(server), []

    def ask() -> None:
        for _ in range(60):
            status, reason, took = read(reader)
            if took > STALL or (status == "missing") == (reason is None):
                wrong.append((status, reason, took))
            time.sleep(0.005)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    server.process.send_signal(signal.SIGSTOP)
    time.sleep(0.2)
    server.process.send_signal(signal.SIGCONT)
    for thread in threads:
        thread.join(30)
    assert not wrong
    assert until_fresh(reader) < 5


BAD = ["http://127.0.0.1", "redis://127.0.0.1:port/0", "", "redis://127.0.0.1/live", "redis://:secret/word@127.0.0.1/0"]


@pytest.mark.parametrize("url", BAD)
def test_an_url_that_cannot_be_used(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis://") as refused:
        redis_reader(url, "p")
    assert "secret" not in str(refused.value)


def test_a_unix_socket_by_url(tmp_path: Path) -> None:
    path = tmp_path / "s"
    server = Server(tmp_path, "--unixsocket", str(path))
    server.start()
    try:
        server.url = f"unix://{path}?db=1"
        fill(server)
        assert until_fresh(redis_reader(server.url, "p")) < 5
    finally:
        server.kill()
