"""The typed client: what it sends, and which error each way of not being answered becomes."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from _bentoml_impl.worker.service import main as bentoml_worker

from feature_repo.errors import DependencyDown, RequestError
from intent_cli.bento_server import free_port
from services import client as client_module
from services.client import IntentClient
from services.contracts import RequestContext
from services.event_contracts import EventBody, Outcome
from services.problems import problem_for_status

AT = datetime(2001, 2, 19, tzinfo=UTC)
REQUEST_ID = "0f8fad5bd9cb469fa16570867728950e"
EVENT = EventBody(event_id="e1", user_id="u", event_type="view", event_timestamp=AT)
CALLS: dict[str, Callable[[IntentClient], Any]] = {
    "/score": lambda client: client.score("u", AT),
    "/score_batch": lambda client: client.score_batch(["u", "v"], AT),
    "/rank": lambda client: client.rank("u", ["1", "2"], AT, top=1),
    "/explain": lambda client: client.explain("u", AT, item_id="1"),
    "/events": lambda client: client.events([EVENT]),
    "/feedback": lambda client: client.feedback([Outcome(request_id=REQUEST_ID, bought=True)]),
}
"""A call of each route."""


@dataclass
class Server:
    """Answers everything in the same way, and keeps what it was asked; `status` 0 hangs up without an answer."""

    status: int = 200
    body: bytes = b"{}"
    content_type: str = "application/json"
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    connections: set[tuple[str, int]] = field(default_factory=set)
    answers: threading.Event = field(default_factory=threading.Event)
    """Until it is set, nothing is answered."""
    address: str = ""

    def says(self, status: int, body: bytes | None = None, content_type: str = "application/problem+json") -> str:
        """Answer a problem from now on, and return its detail."""
        problem = problem_for_status(status, f"detail of {status}")
        self.status, self.content_type = status, content_type
        self.body = problem.body(REQUEST_ID) if body is None else body
        return problem.detail


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()
    told.answers.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            told.connections.add(self.client_address)
            told.asked.append((self.command, self.path, headers, json.loads(sent) if sent else None))
            told.answers.wait(10)
            if told.status == 0:
                self.close_connection = True
                return
            self.send_response(told.status)
            self.send_header("content-type", told.content_type)
            self.send_header("content-length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        do_GET = do_POST = _answer  # noqa: N815  the names that the library calls

        def log_message(self, *_: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    told.address = f"http://127.0.0.1:{listening.server_address[1]}"
    yield told
    told.answers.set()
    listening.shutdown()
    listening.server_close()
    thread.join(10)


@pytest.fixture
def client(server: Server) -> Iterator[IntentClient]:
    with IntentClient(server.address) as client:
        yield client


def sent(call: Callable[[IntentClient], Any], client: IntentClient, server: Server) -> Any:
    """The body that a call sends; what it is answered is refused."""
    server.says(422)
    with pytest.raises(RequestError):
        call(client)
    return server.asked[-1][3]


def test_what_is_sent_is_what_was_given_and_no_more(client: IntentClient, server: Server) -> None:
    at = "2001-02-19T00:00:00Z"
    bodies = {path: sent(call, client, server) for path, call in CALLS.items()}
    assert [(method, path) for method, path, _, _ in server.asked] == [("POST", path) for path in CALLS]
    event = {"event_id": "e1", "user_id": "u", "event_type": "view", "event_timestamp": at}
    assert bodies == {
        "/score": {"user_id": "u", "at": at, "reasons": False},
        "/score_batch": {"user_ids": ["u", "v"], "at": at},
        "/rank": {"user_id": "u", "item_ids": ["1", "2"], "at": at, "top": 1},
        "/explain": {"user_id": "u", "at": at, "item_id": "1"},
        "/events": {"events": [event]},
        "/feedback": {"outcomes": [{"request_id": REQUEST_ID, "bought": True}]},
    }
    context = RequestContext(channel="web", session_seconds=1.5)
    body = sent(lambda c: c.score("u", context=context, item_id="1", reasons=True), client, server)
    assert body == {
        "user_id": "u",
        "context": {"channel": "web", "session_seconds": 1.5},
        "item_id": "1",
        "reasons": True,
    }


def test_a_key_is_shown_where_one_is_given(server: Server) -> None:
    for key in (None, "pi_key"):
        with IntentClient(server.address, key=key) as client:
            assert client.trouble() is None
    shown = [headers.get("authorization") for _, _, headers, _ in server.asked]
    assert shown == [None, "Bearer pi_key"]


def test_a_proxy_of_the_environment_is_not_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with IntentClient(server.address) as client:
        assert client.trouble() is None


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize(
    ("status", "kind"),
    [(status, RequestError) for status in (400, 401, 403, 404, 408, 413, 415, 422, 431)]
    + [(status, DependencyDown) for status in (429, 500, 502, 503, 504)],  # not the request's fault
)
def test_a_refusal_is_told_in_the_services_own_words(
    status: int, kind: type[Exception], path: str, client: IntentClient, server: Server
) -> None:
    detail = server.says(status)
    with pytest.raises(kind) as told:
        CALLS[path](client)
    assert str(told.value) == detail


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[]", b'{"error": "x"}', b"\xff"])
@pytest.mark.parametrize(("status", "kind"), [(403, RequestError), (502, DependencyDown), (503, DependencyDown)])
def test_a_refusal_that_does_not_say_why(
    status: int, kind: type[Exception], body: bytes, client: IntentClient, server: Server
) -> None:
    server.says(status, body, "text/html")
    with pytest.raises(kind, match=f"answered {status} without saying why"):
        client.score("u")


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("body", [b"<html>Log in</html>", b"", b"{}", b'{"probability": 7}', b"\xff"])
def test_an_answer_that_is_none_is_told_as_a_service_that_is_down(
    body: bytes, path: str, client: IntentClient, server: Server
) -> None:
    server.says(200, body, "application/json")
    with pytest.raises(DependencyDown, match=f"answered POST {path} with what is no answer of that route") as told:
        CALLS[path](client)
    assert server.address in str(told.value)


@pytest.mark.parametrize("path", CALLS)
def test_nobody_listens(path: str) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with IntentClient(address) as client:
        with pytest.raises(DependencyDown, match=f"does not answer at {address}: got ConnectError.*intent serve"):
            CALLS[path](client)
        assert "ConnectError" in str(client.trouble())


def test_a_service_that_says_nothing_is_given_up(server: Server) -> None:
    server.answers.clear()
    with (
        IntentClient(server.address, timeout_seconds=0.2) as client,
        pytest.raises(DependencyDown, match="ReadTimeout"),
    ):
        client.score("u")


def test_a_service_that_hangs_up(client: IntentClient, server: Server) -> None:
    server.status = 0
    with pytest.raises(DependencyDown, match="does not answer"):
        client.score("u")
    server.says(422)
    with pytest.raises(RequestError, match="detail of 422"):  # and the next one is answered
        client.score("u")


def test_trouble_is_told_and_never_raised(client: IntentClient, server: Server) -> None:
    assert client.trouble() is None
    assert server.asked[-1][:2] == ("GET", "/readyz")
    assert client.trouble() is None
    for status in (401, 429, 503):
        assert server.says(status) == client.trouble()
    server.says(503, b"no JSON")
    assert "503 without saying why" in str(client.trouble())


def test_a_connection_is_left_before_the_service_closes_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_open = {option.name: option.default for option in bentoml_worker.params}["timeout_keep_alive"]
    assert kept_open / 2 > client_module._IDLE_SECONDS
    with IntentClient(server.address) as client:
        client.trouble()
        client.trouble()
    assert len(server.connections) == 1
    monkeypatch.setattr(client_module, "_IDLE_SECONDS", 0.05)
    with IntentClient(server.address) as client:
        client.trouble()
        time.sleep(0.1)
        client.trouble()
    assert len(server.connections) == 3


NOT_SENT: dict[str, Callable[[IntentClient], Any]] = {
    "user_id": lambda client: client.score("secret-4711\n"),
    "at": lambda client: client.score("secret-4711", datetime(2001, 2, 19)),
    "user_ids": lambda client: client.score_batch(["secret-4711", "secret-4711"]),
    "item_ids": lambda client: client.rank("secret-4711", [f"{number}" for number in range(501)]),
    "top": lambda client: client.rank("secret-4711", ["1"], top=0),
    "item_id": lambda client: client.explain("secret-4711", item_id=""),
    "events": lambda client: client.events([]),
    "outcomes": lambda client: client.feedback([]),
}


@pytest.mark.parametrize("name", NOT_SENT)
def test_what_cannot_be_a_request_is_not_sent(name: str, client: IntentClient, server: Server) -> None:
    with pytest.raises(RequestError, match=f"Request cannot be sent: {name}.*Correct") as told:
        NOT_SENT[name](client)
    assert "secret" not in str(told.value)
    assert server.asked == []
