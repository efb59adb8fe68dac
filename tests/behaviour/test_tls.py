"""The built bento behind TLS of its own, as `bentoml serve --ssl-certfile … --ssl-keyfile …` gives it."""

import json
import socket
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import httpx
import pytest

from intent_cli.bento_server import Bento, free_port
from intent_cli.server_process import ServerProcess
from services.guard_middleware import BODY_SECONDS, IN_PROGRESS_VARIABLE
from tests.hostile_requests import BODIES
from tests.own_certificate import Certificate

CONNECTIONS, EACH = 16, 10


@dataclass(frozen=True)
class Secured:
    """A service of one place that speaks TLS at `port`, and what trusts it."""

    port: int
    trusted: ssl.SSLContext

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"https://127.0.0.1:{self.port}", verify=self.trusted, trust_env=False, timeout=30)

    def connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return self.trusted.wrap_socket(plain, server_hostname="127.0.0.1")


@pytest.fixture(scope="module")
def secured(tiny_bento: Bento, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    log, port = tmp_path_factory.mktemp("tls") / "serve.log", free_port()
    files = ["--ssl-certfile", str(certificate.file), "--ssl-keyfile", str(certificate.key)]
    environment = tiny_bento.environment(1) | {IN_PROGRESS_VARIABLE: "1"}
    with log.open("w") as sink:
        server = ServerProcess([*tiny_bento.command(port), *files], environment, f"https://127.0.0.1:{port}", sink)
        try:
            found = Secured(port, certificate.trusted())
            assert is_ready(found), log.read_text()
            yield found
        finally:
            server.stop()


def is_ready(secured: Secured, seconds: float = 120) -> bool:
    deadline = time.monotonic() + seconds
    with secured.client() as client:
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if client.get("/readyz").status_code == 200:
                    return True
            time.sleep(0.1)
    return False


def test_whole_requests_are_answered_on_one_connection(secured: Secured) -> None:
    with secured.client() as client:
        for path in ("/score", "/score_batch", "/rank", "/explain"):
            answer = client.post(path, content=BODIES[path], headers={"content-type": "application/json"})
            assert answer.status_code == 200, answer.text
        assert client.get("/readyz").json()["status"] == "ready"


def test_what_comes_while_the_place_is_taken_is_refused_as_a_problem(secured: Secured) -> None:
    def ask(_: int) -> list[httpx.Response]:
        with secured.client() as client:
            headers = {"content-type": "application/json"}
            return [client.post("/explain", content=BODIES["/explain"], headers=headers) for _ in range(EACH)]

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = [answer for found in pool.map(ask, range(CONNECTIONS)) for answer in found]
    assert Counter(answer.status_code for answer in answers).keys() == {200, 429}
    for answer in answers:
        if answer.status_code == 429:
            assert answer.headers["content-type"] == "application/problem+json"
            assert (answer.headers["retry-after"], answer.json()["code"]) == ("1", "too_many_requests")


def read(connection: ssl.SSLSocket, seconds: float) -> bytes:
    connection.settimeout(seconds)
    with suppress(TimeoutError):
        return connection.recv(65536)
    return b""


def test_a_body_that_dribbles_is_given_up(secured: Secured) -> None:
    body = BODIES["/score"]
    head = b"POST /score HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    with secured.connect() as connection:
        connection.sendall(head % len(body))
        begun, sent, received = time.monotonic(), 0, b""
        while sent < len(body) - 1 and not received:
            connection.sendall(body[sent : sent + 1])
            sent, received = sent + 1, read(connection, 0.1)
        while part := read(connection, 20):  # to its end: nobody knows where the next request would begin
            received += part
    answer, _, problem = received.partition(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(problem)["code"] == "body_too_slow"
    assert time.monotonic() - begun > BODY_SECONDS / 2


def test_a_request_in_the_clear_gets_no_answer_and_harms_nobody(secured: Secured) -> None:
    with socket.create_connection(("127.0.0.1", secured.port), timeout=20) as plain:
        plain.sendall(b"GET /readyz HTTP/1.1\r\nhost: shop\r\n\r\n")
        with suppress(ConnectionError):
            assert b"HTTP/1.1" not in plain.recv(4096)
    with secured.client() as client:
        assert client.get("/livez").status_code == 200


def test_who_does_not_trust_the_certificate_sends_nothing(secured: Secured) -> None:
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        httpx.get(f"https://127.0.0.1:{secured.port}/readyz", trust_env=False)
