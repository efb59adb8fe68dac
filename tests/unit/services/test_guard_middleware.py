"""The guard around a small application: what passes, what is refused, and what is told of it."""

import asyncio
import io
import json
import logging
import time

import pytest

from services import guard_middleware
from services.access_control import Rule
from services.access_keys import KeyRows, new_key
from services.concurrency_limit import PLACE, REFUSAL_SECONDS, ConcurrencyLimit, Place
from services.configured_keys import KEYS_VARIABLE
from services.guard_middleware import IN_PROGRESS_VARIABLE, GuardMiddleware
from services.http_connections import bound_connections
from services.problem_middleware import ProblemMiddleware
from services.quiet_errors import WithoutTexts, quieten
from services.server_layers import without_headers, without_layers
from services.turnstile import Turnstile

RULES = {
    "/livez": Rule(frozenset({"GET"}), None),
    "/readyz": Rule(frozenset({"GET"}), None),
    "/score": Rule(frozenset({"POST"}), "score", 100),
}


async def echo(scope, receive, send) -> None:
    body = (await receive()).get("body", b"")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


class Server:
    """The guard as a server calls it."""

    def __init__(self, app=echo) -> None:
        self.app = ProblemMiddleware(GuardMiddleware(app, RULES))

    async def ask(
        self,
        path: str,
        *parts: bytes,
        method: str = "POST",
        headers=(),
        server=("127.0.0.1", 1),
        more=False,
        place=None,
    ):
        messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts or (b"",)]
        messages[-1]["more_body"] = more
        sent: list[dict] = []

        async def receive() -> dict:
            if not messages:
                await asyncio.sleep(3600)
            return messages.pop(0)

        async def send(message) -> None:
            sent.append(message)

        kind = [(b"content-type", b"application/json")] if method == "POST" else []
        scope = {"type": "http", "path": path, "method": method, "headers": [*kind, *headers], "server": server}
        if place is not None:
            scope[PLACE] = place
        await self.app(scope, receive, send)
        body = sent[1]["body"] if len(sent) > 1 else b""
        return (sent[0]["status"], dict(sent[0]["headers"]), body) if sent else None


def ask(path: str, *parts: bytes, app=echo, **how):
    return asyncio.run(Server(app).ask(path, *parts, **how))


def problem(answer, status: int, code: str) -> dict:
    told = json.loads(answer[2])
    assert (answer[0], told["status"], told["code"]) == (status, status, code)
    assert answer[1][b"content-type"] == b"application/problem+json"
    return told


def test_a_body_is_handed_on_whole() -> None:
    assert ask("/score", b"{}") == (200, {b"content-type": b"application/json"}, b"{}")
    assert ask("/score", b"{", b"", b"}")[2] == b"{}"
    assert ask("/livez", method="GET")[0] == 200


def test_what_is_refused_is_a_problem() -> None:
    problem(ask("/nothing", b"{}"), 404, "not_found")
    assert ask("/score", method="PUT")[1][b"allow"] == b"POST"
    problem(ask("/score", b" " * 101), 413, "body_too_large")
    problem(ask("/score", b"[" * 50), 400, "malformed_json")
    problem(ask("/score", b"{}", headers=[(b"content-encoding", b"br")]), 415, "unsupported_media_type")


def test_a_body_that_does_not_come_is_waited_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_middleware, "BODY_SECONDS", 0.05)
    answer = ask("/score", b"{", more=True)
    problem(answer, 408, "body_too_slow")
    assert answer[1][b"connection"] == b"close"


def test_an_answer_that_does_not_come_is_waited_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stuck(scope, receive, send) -> None:
        await asyncio.sleep(3600)

    async def late(scope, receive, send) -> None:
        raise TimeoutError("user 01104905")  # one of its own, which is no timeout of ours

    monkeypatch.setattr(guard_middleware, "ANSWER_SECONDS", 0.05)
    problem(ask("/score", b"{}", app=stuck), 504, "timeout")
    problem(ask("/score", b"{}", app=late), 500, "internal_error")


def test_the_text_of_an_exception_is_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope, receive, send) -> None:
        raise KeyError("user 01104905")

    with caplog.at_level(logging.DEBUG):
        answer = ask("/score", b"{}", app=broken)
    problem(answer, 500, "internal_error")
    assert b"01104905" not in answer[2]
    assert "KeyError" in caplog.text
    assert "01104905" not in caplog.text


def test_a_caller_that_hangs_up_is_answered_nothing() -> None:
    async def gone() -> dict:
        return {"type": "http.disconnect"}

    async def never(message) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "path": "/score", "method": "POST", "headers": [(b"content-type", b"application/json")]}
    asyncio.run(ProblemMiddleware(GuardMiddleware(echo, RULES))(scope, gone, never))


def test_above_what_may_be_in_progress_it_is_refused_and_then_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(IN_PROGRESS_VARIABLE, "2")

    async def run() -> None:
        gate = asyncio.Event()

        async def waiting(scope, receive, send) -> None:
            await gate.wait()
            await echo(scope, receive, send)

        server = Server(waiting)
        first = [asyncio.ensure_future(server.ask("/score", b"{}")) for _ in range(2)]
        await asyncio.sleep(0)
        begun = time.monotonic()
        refused = await server.ask("/score", b"{}")
        assert time.monotonic() - begun >= REFUSAL_SECONDS  # so that it is not asked again at once
        problem(refused, 429, "too_many_requests")
        assert refused[1][b"retry-after"] == b"1"
        unread = await asyncio.wait_for(server.ask("/score", b"{", more=True), 1)  # its body is not waited for
        problem(unread, 429, "too_many_requests")
        gate.set()
        assert [answer[0] for answer in await asyncio.gather(*first)] == [200, 200]
        assert (await server.ask("/score", b"{}"))[0] == 200

    asyncio.run(run())


def test_a_place_that_the_connection_took_is_used_and_given_back_whatever_becomes_of_the_request() -> None:
    limit = ConcurrencyLimit(1)

    async def counted(scope, receive, send) -> None:
        assert limit.in_progress == 1
        await echo(scope, receive, send)

    async def broken(scope, receive, send) -> None:
        raise KeyError("user 01104905")

    def status(app, *how, **also) -> int:
        place = Place(limit)
        assert place.take()
        return ask(*how, app=app, place=place, **also)[0]

    assert status(counted, "/score", b"{}") == 200
    assert status(broken, "/score", b"{}") == 500
    assert status(echo, "/score", b"[" * 50) == 400
    assert status(echo, "/nothing", b"{}") == 404
    assert limit.in_progress == 0


def test_keys_are_asked_for_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    text, row = new_key(["score"], None, 100.0)
    monkeypatch.setenv(KEYS_VARIABLE, KeyRows(keys=(row,)).model_dump_json())
    answer = ask("/score", b"{}")
    problem(answer, 401, "unauthorised")
    assert answer[1][b"www-authenticate"] == b"Bearer"
    assert ask("/score", b"{}", headers=[(b"authorization", b"Bearer " + text.encode())])[0] == 200
    assert (
        ask("/score", b"{}", headers=[(b"authorization", b"Bearer " + text.encode())], server=("10.0.0.1", 1))[0] == 200
    )
    assert ask("/livez", method="GET")[0] == 200


@pytest.mark.parametrize("host", ["10.0.0.1", "fe80::1", "::ffff:10.0.0.1"])
def test_a_server_that_others_reach_answers_nobody_without_keys(host: str) -> None:
    problem(ask("/score", b"{}", server=(host, 1)), 401, "unauthorised")
    assert ask("/score", b"{}", server=("service", None))[0] == 200
    assert ask("/score", b"{}", server=("/run/intent.sock", None))[0] == 200


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [(KEYS_VARIABLE, "{", "not JSON"), (IN_PROGRESS_VARIABLE, "many", "whole number")],
)
def test_settings_that_cannot_be_used_open_nothing(
    variable: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert ask("/livez", method="GET")[0] == 200
    assert expected in problem(ask("/readyz", method="GET"), 503, "not_ready")["detail"]
    assert expected not in problem(ask("/score", b"{}"), 503, "not_ready")["detail"]


def test_a_websocket_is_closed() -> None:
    sent: list[dict] = []

    async def send(message) -> None:
        sent.append(message)

    asyncio.run(ProblemMiddleware(GuardMiddleware(echo, RULES))({"type": "websocket", "path": "/score"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_only_servers_that_are_known_are_changed() -> None:
    async def receive() -> dict:
        return {}

    bound_connections(receive, Turnstile(ConcurrencyLimit(1), (), lambda path, key: True, lambda path, seconds: None))
    for other in (None, object()):
        assert without_layers(other) == []
        assert not without_headers(other)


def test_the_log_has_an_exceptions_kind_and_place_and_not_its_text() -> None:
    stream = io.StringIO()
    handler, logger = logging.StreamHandler(stream), logging.getLogger("a test of quiet errors")
    handler.addFilter(WithoutTexts())
    logger.addHandler(handler)
    logger.propagate = False

    def lookup(customers: dict, user_id: str) -> None:
        try:
            customers[user_id]
        except KeyError as error:
            raise ValueError(f"user {user_id}") from error

    try:
        lookup({}, "01104905")
    except ValueError:
        logger.exception("Exception on /score")
    text = stream.getvalue()
    assert "Exception on /score" in text
    assert text.index("KeyError") < text.index("and then") < text.rindex("ValueError")
    assert "in lookup" in text
    assert "01104905" not in text.replace('lookup({}, "01104905")', "")  # this test's own line of code


def test_every_handler_is_quietened_once() -> None:
    handler = logging.StreamHandler(io.StringIO())
    logging.getLogger("bentoml").addHandler(handler)
    try:
        quieten()
        quieten()
        assert [type(known) for known in handler.filters] == [WithoutTexts]
    finally:
        logging.getLogger("bentoml").removeHandler(handler)
