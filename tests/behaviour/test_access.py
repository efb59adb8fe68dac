"""Who may ask for what, over real HTTP: every route and every kind of key; and where it listens without any."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest
from _bentoml_impl.server.app import ServiceAppFactory

from intent_cli.bento_server import Bento, free_port, running
from intent_cli.server_process import ServerProcess
from services import intent_service
from services.access_keys import KeyRow, KeyRows, new_key
from services.configured_keys import FILE_VARIABLE, KEYS_VARIABLE
from services.route_rules import route_rules
from tests.bare_worker import bare_worker
from tests.hostile_requests import BODIES

pytestmark = pytest.mark.xdist_group("the open server")

MATRIX = {
    "/livez": ("GET", None),
    "/readyz": ("GET", None),
    "/healthz": ("GET", None),
    "/": ("GET", "score"),
    "/docs.json": ("GET", "score"),
    "/schema.json": ("GET", "score"),
    "/static_content/swagger-ui.css": ("GET", "score"),
    "/model": ("GET", "score"),
    "/metrics": ("GET", "admin"),
    "/score": ("POST", "score"),
    "/score_batch": ("POST", "score"),
    "/rank": ("POST", "score"),
    "/explain": ("POST", "score"),
    "/events": ("POST", "events"),
    "/feedback": ("POST", "events"),
}
"""Every route, by what asks for it: the method, and the right that it takes. A new route needs a row."""
CALLERS = ("no key", "wrong", "expired", "wrong scope", "right")


class Keys:
    """A file of keys of every kind, and the keys themselves."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.texts: dict[str, str] = {}
        self.rows: dict[str, KeyRow] = {}
        for scope in ("score", "events", "admin"):
            self.add(scope, [scope])
        self.add("all but score", ["events", "admin"])
        self.add("all but events", ["score", "admin"])
        self.add("all but admin", ["score", "events"])
        self.add("expired", ["score", "events", "admin"], expires=datetime.now(UTC) - timedelta(seconds=1))
        self.add("slow", ["score"], rate=0.2)
        self.texts["wrong"] = new_key(["admin"], None, 500.0)[0]  # well made, and not in the file

    def add(self, name: str, scopes: list, expires: datetime | None = None, rate: float = 500.0) -> None:
        self.texts[name], self.rows[name] = new_key(scopes, expires, rate)
        self.write()

    def write(self) -> None:
        self.file.write_text(KeyRows(keys=tuple(self.rows.values())).model_dump_json())
        self.file.chmod(0o600)

    def header(self, name: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.texts[name]}"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture(scope="module")
def client(tiny_bento: Bento, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    log = tmp_path_factory.mktemp("keyed") / "serve.log"
    variables = {FILE_VARIABLE: str(keys.file)}
    with (
        running(tiny_bento, free_port(), log=log, host="0.0.0.0", keys=variables) as server,  # noqa: S104
        httpx.Client(base_url=server.address, timeout=20, trust_env=False) as client,
    ):
        yield client


def test_every_route_of_the_service_has_a_row() -> None:
    def row(path: str) -> str:
        return path.replace("swagger-ui.css", "")

    assert {row(path) for path in MATRIX} == set(route_rules())
    service = intent_service.PurchaseIntent
    service.inject_config()  # type: ignore[attr-defined]
    app = ServiceAppFactory(service, is_main=True, enable_metrics=False)()
    served = {getattr(route, "path", "") for route in app.routes} | {
        getattr(inner, "path", "")
        for route in app.routes
        for inner in getattr(getattr(route, "app", None), "routes", ())
    }
    assert {
        path for path in served - {""} if path.rstrip("/") not in {key.rstrip("/") for key in route_rules()}
    } == set()


def headers_of(caller: str, scope: str | None, keys: Keys) -> dict[str, str]:
    if caller == "no key":
        return {}
    if caller in ("wrong", "expired"):
        return keys.header(caller)
    if scope is None:  # open to everybody, whatever key is shown
        return keys.header("events" if caller == "wrong scope" else "admin")
    return keys.header(f"all but {scope}" if caller == "wrong scope" else scope)


def asked(client: httpx.Client, path: str, method: str, headers: dict[str, str]) -> httpx.Response:
    if method == "GET":
        return client.get(path, headers=headers)
    return client.post(path, content=BODIES[path], headers={"content-type": "application/json", **headers})


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("path", MATRIX)
def test_who_may_ask_for_what(path: str, caller: str, client: httpx.Client, keys: Keys) -> None:
    method, scope = MATRIX[path]
    answer = asked(client, path, method, headers_of(caller, scope, keys))
    if scope is None or caller == "right":
        assert answer.status_code not in (401, 403, 405), answer.text
        told = None if answer.status_code == 200 else answer.json()["code"]
        assert told == {"/events": "no_outbox", "/feedback": "no_served_log"}.get(path)  # it was started without
        return
    status = 403 if caller == "wrong scope" else 401
    problem = answer.json()
    assert (answer.status_code, problem["status"], answer.headers["content-type"]) == (
        status,
        status,
        "application/problem+json",
    )
    assert problem["code"] == ("forbidden" if status == 403 else "unauthorised")
    assert (answer.headers.get("www-authenticate") == "Bearer") == (status == 401)


def test_what_is_not_there_is_told_to_nobody_without_a_key(client: httpx.Client, keys: Keys) -> None:
    assert client.get("/nothing").status_code == 401
    assert client.put("/score").status_code == 401
    assert client.get("/nothing", headers=keys.header("events")).status_code == 404
    assert client.put("/score", headers=keys.header("score")).status_code == 405


def test_a_key_may_be_used_as_often_as_it_says(client: httpx.Client, keys: Keys) -> None:
    assert asked(client, "/score", "POST", keys.header("slow")).status_code == 200
    refused = asked(client, "/score", "POST", keys.header("slow"))
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert 1 <= int(refused.headers["retry-after"]) <= 5


def test_a_key_comes_and_goes_without_a_restart(client: httpx.Client, keys: Keys) -> None:
    keys.add("new", ["score"])
    assert within(3, lambda: asked(client, "/score", "POST", keys.header("new")).status_code == 200)
    del keys.rows["new"]
    keys.write()
    assert within(3, lambda: asked(client, "/score", "POST", keys.header("new")).status_code == 401)


def within(seconds: float, holds) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def serve(bento: Bento, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "bentoml", "serve", bento.tag, *arguments]


def test_plain_bentoml_serve_listens_on_this_machine_alone(tiny_bento: Bento, tmp_path: Path) -> None:
    port = free_port()
    with (tmp_path / "log").open("w") as sink:
        command = serve(tiny_bento, "--port", str(port))
        server = ServerProcess(command, tiny_bento.environment(1), f"http://127.0.0.1:{port}", sink)
        try:
            server.wait_until_ready()
            listening = {
                c.laddr.ip for c in psutil.net_connections("tcp") if c.laddr.port == port and c.status == "LISTEN"
            }
        finally:
            server.stop()
    assert listening == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        (["--host", "0.0.0.0"], {}, "without keys"),  # noqa: S104
        ([], {KEYS_VARIABLE: '{"keys": 1}'}, "INTENT_KEYS are not as expected"),
    ],
)
def test_what_is_not_safe_is_not_served(
    arguments: list[str], variables: dict[str, str], expected: str, tiny_bento: Bento
) -> None:
    environment = tiny_bento.environment(1) | variables
    command = serve(tiny_bento, "--port", str(free_port()), *arguments)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert expected in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_worker_that_is_started_otherwise_answers_nobody(tiny_bento: Bento, tmp_path: Path) -> None:
    """The worker looks at its socket itself, whatever started it."""
    log = tmp_path / "log"
    with bare_worker(tiny_bento, log, host="0.0.0.0") as url:  # noqa: S104
        answer = httpx.get(f"{url}/readyz", timeout=60, trust_env=False)
        scored = httpx.post(f"{url}/score", json=json.loads(BODIES["/score"]), timeout=20, trust_env=False)
    assert answer.status_code == scored.status_code == 503
    assert "0.0.0.0 without keys" in answer.json()["detail"]
    assert "without keys" in log.read_text()
