"""The bounded executor and the problem middleware, without a server."""

import asyncio
import json
import threading

import pytest

from services.bounded_executor import BoundedExecutor, Overloaded
from services.problem_middleware import ProblemMiddleware


def test_more_than_the_limit_is_refused_at_once() -> None:
    async def run() -> None:
        executor, gate = BoundedExecutor(threads=1, limit=2), threading.Event()
        waiting = [asyncio.ensure_future(executor.run(gate.wait, 10)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="more than 2"):
            await executor.run(int)
        gate.set()
        assert await asyncio.gather(*waiting) == [True, True]
        assert await executor.run(int, "7") == 7
        executor.close()

    asyncio.run(run())


def test_each_thread_is_met_once() -> None:
    async def names() -> list[str]:
        executor, met = BoundedExecutor(threads=3, limit=4), []
        await executor.on_each_thread(lambda: met.append(threading.current_thread().name))
        executor.close()
        return met

    met = asyncio.run(names())
    assert len(met) == len(set(met)) == 3


def test_a_failed_call_frees_its_place() -> None:
    async def run() -> None:
        executor = BoundedExecutor(threads=1, limit=1)
        for _ in range(3):
            with pytest.raises(ValueError, match="invalid literal"):
                await executor.run(int, "x")
        executor.close()

    asyncio.run(run())


def answered(status: int, body: list[bytes], content_type: bytes, path: str = "/score") -> list[dict]:
    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", content_type)]})
        for place, part in enumerate(body):
            await send({"type": "http.response.body", "body": part, "more_body": place < len(body) - 1})

    sent: list[dict] = []

    async def send(message) -> None:
        sent.append(message)

    asyncio.run(ProblemMiddleware(app)({"type": "http", "path": path}, None, send))
    return sent


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "bad_request"), (404, "not_found"), (418, "bad_request"), (500, "internal_error"), (504, "timeout")],
)
def test_a_foreign_error_becomes_a_problem_without_its_text(status: int, code: str) -> None:
    start, body = answered(status, [b"user ", b"20070405"], b"text/plain")
    problem = json.loads(body["body"])
    assert start["status"] == problem["status"] == status
    assert problem["code"] == code
    assert (b"content-type", b"application/problem+json") in start["headers"]
    assert b"20070405" not in body["body"]


def test_the_reason_of_readyz_is_kept() -> None:
    start, body = answered(503, [b"no ", b"store"], b"text/plain", "/readyz")
    assert json.loads(body["body"])["detail"] == "no store"
    assert (b"retry-after", b"1") in start["headers"]


@pytest.mark.parametrize(("status", "kind"), [(200, b"application/json"), (422, b"application/problem+json")])
def test_other_answers_pass_unchanged(status: int, kind: bytes) -> None:
    start, body = answered(status, [b"{}"], kind)
    assert (start["status"], body["body"]) == (status, b"{}")
