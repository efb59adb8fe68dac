"""What is refused on the connection, over real connections to a server in this process."""

import asyncio
import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services import http_connections, turnstile
from services.concurrency_limit import Place
from services.turnstile import whole_request
from tests.one_place_shop import BODY, KEPT_SECONDS, PROTOCOLS, WHOLE, Shop, over
from tests.own_certificate import Certificate


@pytest.fixture(params=["plain", "TLS"], autouse=True)
def certified(request: pytest.FixtureRequest, certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shop, "certificate", certificate if request.param == "TLS" else None)


@given(st.integers(0, len(WHOLE) + 5), st.binary(max_size=3))
def test_only_one_request_and_nothing_else_is_a_whole_one(cut: int, more: bytes) -> None:
    data = WHOLE[:cut] + more
    head = WHOLE[: -len(BODY)]
    is_whole = len(data) == len(WHOLE) and data.startswith(head)  # whatever the body says
    assert whole_request(data) == ("/score" if is_whole else None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"POST", b"PUT"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"Host", b"Transfer-Encoding: chunked\r\nHost"),
        (b"Host", b"Expect: 100-continue\r\nHost"),
        (b"Host", b"Connection: close\r\nHost"),
        (b"Host", b"Connection: keep-alive, Close\r\nHost"),
        (b"Host", b"X: a\nContent-Length: 3\r\nHost"),
        (b"Host", b"X: a\n\nX: b\r\nHost"),
        (b"Host", b"X: a\rY: b\r\nHost"),
        (b"Host", b"Connection: Upgrade\r\nUpgrade: websocket\r\nHost"),
        (b"Content-Length: 16", b"Content-Length: 16\r\nContent-Length: 16"),
        (b"Content-Length: 16", b"Content-Length: 15"),
        (b"Content-Length: 16", b"Content-Length: 0x10"),
        (b"Content-Length: 16", b"X: 16"),
        (b"/score ", b"/score?a=1 "),
        (b"Host", b"X: " + b"x" * 5000 + b"\r\nHost"),
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_layers(before: bytes, after: bytes) -> None:
    assert before in WHOLE
    assert whole_request(WHOLE.replace(before, after)) is None
    assert whole_request(WHOLE.replace(b"Host", b"Connection: keep-alive\r\nHost")) == "/score"


async def held(shop: Shop) -> "asyncio.Future[tuple[int, dict[str, str], bytes]]":
    """Have somebody take the only place."""
    answer = asyncio.ensure_future((await shop.connect()).ask())
    while not shop.seen:
        await asyncio.sleep(0.01)
    return answer


def test_who_finds_no_place_is_told_so_and_keeps_the_connection() -> None:
    async def use(shop: Shop) -> None:
        first, other = await held(shop), await shop.connect()
        known = set()
        for number in (1, 2):
            begun = time.monotonic()
            status, headers, body = await other.ask()
            told = json.loads(body)
            assert time.monotonic() - begun >= turnstile.REFUSAL_SECONDS
            assert (status, told["status"], told["code"]) == (429, 429, "too_many_requests")
            assert (headers["retry-after"], headers["content-type"]) == ("1", "application/problem+json")
            assert re.fullmatch("[0-9a-f]{32}", told["request_id"])
            assert told["request_id"] not in known
            known.add(told["request_id"])
            assert shop.refused == [("/score", turnstile.REFUSAL_SECONDS)] * number
        assert shop.seen == 1
        shop.open.set()
        assert (await first)[0] == 200
        assert (await other.ask())[2] == BODY
        assert shop.limit.in_progress == 0

    over(HttpToolsProtocol, use)


def test_the_same_moment_gives_no_more_places_than_there_are() -> None:
    async def use(shop: Shop) -> None:
        clients = [await shop.connect() for _ in range(8)]
        for client in clients:
            client.writer.write(WHOLE)  # all before the server's loop has its next turn
        await asyncio.sleep(2 * turnstile.REFUSAL_SECONDS)
        assert (shop.seen, shop.limit.in_progress, len(shop.refused)) == (1, 1, 7)
        shop.open.set()
        assert sorted([(await client.answer())[0] for client in clients]) == [200] + [429] * 7

    over(HttpToolsProtocol, use)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_comes_in_pieces_or_elsewhere_is_left_to_the_layers(protocol: type) -> None:
    async def use(shop: Shop) -> None:
        first = await held(shop)
        in_pieces, elsewhere, two = [await shop.connect() for _ in range(3)]
        in_pieces.writer.write(WHOLE[:30])
        elsewhere.writer.write(WHOLE.replace(b"/score", b"/model"))
        two.writer.write(WHOLE + WHOLE)
        await asyncio.sleep(0.05)
        in_pieces.writer.write(WHOLE[30:])
        while shop.seen < 4:
            await asyncio.sleep(0.01)
        shop.open.set()
        answers = [await first, *[await client.answer() for client in (in_pieces, elsewhere, two, two)]]
        assert ([answer[0] for answer in answers], shop.refused) == ([200] * 5, [])

    over(protocol, use)


KEY = WHOLE.replace(b"Host", b"Authorization: Bearer wrong\r\nHost")


def test_who_has_no_right_to_a_place_is_left_to_the_layers() -> None:
    async def use(shop: Shop) -> None:
        first, other = await held(shop), await shop.connect()
        other.writer.write(KEY)
        while shop.seen < 2:
            await asyncio.sleep(0.01)
        shop.open.set()
        assert (await first)[0] == (await other.answer())[0] == 200
        assert shop.refused == []

    over(HttpToolsProtocol, use)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("before", [b"", WHOLE], ids=["its own segment", "the end of another request's"])
def test_the_rest_of_a_head_is_no_request(protocol: type, before: bytes) -> None:
    """A head that has begun, on a kept connection: what follows is a part of it, whatever it looks like."""

    async def use(shop: Shop) -> None:
        shop.open.set()
        client = await shop.connect()
        assert (await client.ask())[0] == 200
        with Place(shop.limit) as place:
            place.take()
            client.writer.write(before + b"POST /model HTTP/1.1\r\nX-Note: ")
            if before:
                assert (await client.answer())[0] == 200
            await asyncio.sleep(0.05)
            client.writer.write(WHOLE)
            assert (await client.answer())[2] == BODY
        assert shop.refused == []
        assert shop.paths[-1] == "/model"

    over(protocol, use)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_rest_of_an_answered_request_is_no_request(protocol: type) -> None:
    class Hasty(Shop):
        async def __call__(self, scope, receive, send) -> None:
            await send({"type": "http.response.start", "status": 418, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

    async def use(shop: Shop) -> None:
        # The answer does not wait for the body, which looks like a request: who takes it for one can be lied to.
        client = await shop.connect()
        client.writer.write(b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(WHOLE))
        assert (await client.answer())[0] == 418
        with Place(shop.limit) as place:
            place.take()
            client.writer.write(WHOLE)
            await asyncio.sleep(3 * turnstile.REFUSAL_SECONDS)
        assert shop.refused == []

    over(protocol, use, Hasty)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_no_request_after_all_holds_no_place(protocol: type) -> None:
    async def use(shop: Shop) -> None:
        client = await shop.connect()
        assert (await client.ask(WHOLE.replace(b"Host", b"Ho st")))[0] == 400
        assert shop.limit.in_progress == 0

    over(protocol, use)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_who_hangs_up_while_the_refusal_is_kept_back_is_no_error(protocol: type) -> None:
    async def use(shop: Shop) -> None:
        first, other = await held(shop), await shop.connect()
        other.writer.write(WHOLE)
        await asyncio.sleep(0.01)
        other.writer.transport.abort()
        await asyncio.sleep(2 * turnstile.REFUSAL_SECONDS)
        shop.open.set()
        assert (await first)[0] == 200

    over(protocol, use)


def test_a_refused_connection_is_kept_as_long_as_one_that_was_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_connections, "HEAD_SECONDS", 0.1)  # that is for heads that have begun, and new connections

    async def use(shop: Shop) -> None:
        first, other = await held(shop), await shop.connect()
        for _ in range(3):
            assert (await other.ask())[0] == 429
            await asyncio.sleep(0.5)
        begun = time.monotonic()
        assert await asyncio.wait_for(other.reader.read(), 3) == b""
        assert time.monotonic() - begun > KEPT_SECONDS / 4
        shop.open.set()
        assert (await first)[0] == 200

    over(HttpToolsProtocol, use)
