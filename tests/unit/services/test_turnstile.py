"""What is refused on the connection, over real connections to a server in this process."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from benchmarks.http_load import post
from services import http_connections, turnstile
from services.concurrency_limit import PLACE, ConcurrencyLimit, Place
from services.http_connections import bounded
from services.turnstile import Turnstile, whole_request

BODY = b'{"user_id": "1"}'
WHOLE = post("http://127.0.0.1:1", "/score", BODY)
PROTOCOLS = [H11Protocol, HttpToolsProtocol]


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


class Shop:
    """A server of one place whose answers wait for `open`."""

    def __init__(self, protocol: type) -> None:
        self.limit = ConcurrencyLimit(1)
        self.refused: list[tuple[str, float]] = []
        self.open = asyncio.Event()
        self.seen = 0
        stile = Turnstile(self.limit, ["/score"], lambda path, seconds: self.refused.append((path, seconds)))
        config = uvicorn.Config(
            self,
            port=0,
            http=bounded(protocol, stile),
            ws="none",
            lifespan="off",
            timeout_keep_alive=1,
            log_config=None,
        )
        self.server = uvicorn.Server(config)

    async def __call__(self, scope, receive, send) -> None:
        with scope.pop(PLACE, None) or Place(self.limit):
            self.seen += 1
            body = (await receive())["body"]
            await self.open.wait()
            headers = [(b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def connect(self) -> "Client":
        (listening,) = self.server.servers
        return Client(*await asyncio.open_connection(*listening.sockets[0].getsockname()))


class Client:
    """One kept connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, body

    async def ask(self, request: bytes = WHOLE) -> tuple[int, dict[str, str], bytes]:
        self.writer.write(request)
        return await self.answer()


@asynccontextmanager
async def serving(shop: Shop) -> AsyncIterator[Shop]:
    task = asyncio.ensure_future(shop.server.serve())
    while not shop.server.started:
        await asyncio.sleep(0.01)
    yield shop
    shop.open.set()
    shop.server.should_exit = True
    await task
    assert shop.limit.in_progress == 0


def over(protocol: type, use: Callable[[Shop], Awaitable[None]], kind: type[Shop] = Shop) -> None:
    async def run() -> None:
        async with serving(kind(protocol)) as shop:
            await use(shop)

    asyncio.run(run())


async def held(shop: Shop) -> "asyncio.Future[tuple[int, dict[str, str], bytes]]":
    """Have somebody take the only place."""
    answer = asyncio.ensure_future((await shop.connect()).ask())
    while not shop.seen:
        await asyncio.sleep(0.01)
    return answer


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_who_finds_no_place_is_told_so_and_keeps_the_connection(protocol: type) -> None:
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

    over(protocol, use)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_same_moment_gives_no_more_places_than_there_are(protocol: type) -> None:
    async def use(shop: Shop) -> None:
        clients = [await shop.connect() for _ in range(8)]
        for client in clients:
            client.writer.write(WHOLE)  # all before the server's loop has its next turn
        await asyncio.sleep(2 * turnstile.REFUSAL_SECONDS)
        assert (shop.seen, shop.limit.in_progress, len(shop.refused)) == (1, 1, 7)
        shop.open.set()
        assert sorted([(await client.answer())[0] for client in clients]) == [200] + [429] * 7

    over(protocol, use)


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


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_refused_connection_is_closed_when_nothing_more_comes(
    protocol: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connections, "HEAD_SECONDS", 0.2)

    async def use(shop: Shop) -> None:
        first, other = await held(shop), await shop.connect()
        for _ in range(3):  # and not before
            assert (await other.ask())[0] == 429
            await asyncio.sleep(0.1)
        assert await asyncio.wait_for(other.reader.read(), 2) == b""
        shop.open.set()
        assert (await first)[0] == 200

    over(protocol, use)
