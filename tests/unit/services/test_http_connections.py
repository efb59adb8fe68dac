"""What connections may cost before, between and after requests, over real ones to a server in this process."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services import http_connections
from services.concurrency_limit import PLACE, Place
from tests.one_place_shop import PROTOCOLS, WHOLE, Client, Shop, over, serving
from tests.own_certificate import Certificate


@pytest.fixture(params=["plain", "TLS"], autouse=True)
def certified(
    request: pytest.FixtureRequest, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> Certificate | None:
    found = certificate if request.param == "TLS" else None
    monkeypatch.setattr(Shop, "certificate", found)
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_came_in_time_to_a_server_that_was_held_up_is_answered(
    protocol: type,
    loop: Callable[[], asyncio.AbstractEventLoop],
    certified: Certificate | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_connections, "HEAD_SECONDS", 0.2)

    async def run() -> None:
        async with serving(Shop(protocol)) as shop:
            shop.open.set()
            (listening,) = shop.server.servers
            with await asyncio.to_thread(connected, listening.sockets[0].getsockname(), certified) as client:
                await asyncio.sleep(0.1)
                client.sendall(WHOLE)
                time.sleep(0.3)  # the whole process is held up, beyond the time for the head
                assert (await asyncio.to_thread(client.recv, 100)).startswith(b"HTTP/1.1 200 OK")

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


def connected(address: tuple[str, int], certificate: Certificate | None) -> socket.socket:
    client = socket.create_connection(address, timeout=5)
    return client if certificate is None else certificate.trusted().wrap_socket(client, server_hostname=address[0])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_head_without_end_is_refused_on_a_kept_connection_too(protocol: type) -> None:
    async def use(shop: Shop) -> None:
        shop.open.set()
        client = await shop.connect()
        assert (await client.ask())[0] == 200
        client.writer.write(b"GET /model HTTP/1.1\r\nX: ")
        answer = asyncio.ensure_future(client.answer())
        for _ in range(4):
            await asyncio.sleep(0.02)
            if not answer.done():
                client.writer.write(b"x" * 10_000)
        assert (await answer)[0] in (400, 431)  # h11 has a bound of its own

    over(protocol, use)


class Refusing(Shop):
    """It answers before it has the body."""

    async def __call__(self, scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("part", [b"X: y\r\n" * 2000, b"5\r\nhello\r\n" * 1000], ids=["trailers", "chunks"])
def test_what_follows_a_refusal_without_end_ends_the_connection(protocol: type, part: bytes) -> None:
    async def use(shop: Shop) -> None:
        client = await shop.connect()
        client.writer.write(b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert (await client.answer())[0] == 401
        sent = 0
        client.writer.write(b"0\r\n" if part.startswith(b"X") else b"")
        while not client.reader.at_eof() and sent < 2 * http_connections.MOST_BODY_BYTES:
            client.writer.write(part)
            sent += len(part)
            await asyncio.sleep(0)
            with suppress(TimeoutError, ConnectionError):
                await asyncio.wait_for(client.reader.read(100), 0.001)
            if client.writer.transport.is_closing():
                break
        assert sent < 2 * http_connections.MOST_BODY_BYTES

    over(protocol, use, Refusing)


def test_trailers_are_kept_by_nobody() -> None:
    kept = []

    class Keeping(Shop):
        async def __call__(self, scope, receive, send) -> None:
            while (await receive())["more_body"]:
                pass
            kept.append(len(scope["headers"]))
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

    async def use(shop: Shop) -> None:
        client = await shop.connect()
        head = b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert (await client.ask(head + b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 50 + b"\r\n"))[0] == 200

    over(HttpToolsProtocol, use, Keeping)
    assert kept == [2]


def test_more_requests_than_wait_for_an_answer_end_the_connection() -> None:
    async def use(shop: Shop) -> None:
        few, many = await shop.connect(), await shop.connect()
        few.writer.write(WHOLE * 10)
        many.writer.write(WHOLE * 100)
        with suppress(ConnectionError):
            assert await asyncio.wait_for(many.reader.read(), 2) == b""
        shop.open.set()
        assert [(await few.answer())[0] for _ in range(10)] == [200] * 10

    over(HttpToolsProtocol, use)


class Long(Shop):
    """Its answers are longer than what the system takes of them at once."""

    async def __call__(self, scope, receive, send) -> None:
        size = 60_000_000
        scope.pop(PLACE, Place(self.limit)).give_back()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": b"x" * size})


async def unread(shop: Shop) -> Client:
    """Ask, and read nothing; nor is anything kept for who reads nothing."""
    client = await shop.connect()
    client.reader._limit = 1000
    client.writer.write(WHOLE)
    return client


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_who_reads_no_answer_is_left(protocol: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connections, "READ_SECONDS", 0.2)
    monkeypatch.setattr(http_connections, "TLS_READ_SECONDS", 0.2)

    async def use(shop: Shop) -> None:
        await unread(shop)
        connections = shop.server.server_state.connections
        async with asyncio.timeout(20):
            while connections:
                await asyncio.sleep(0.05)

    over(protocol, use, Long)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_who_reads_slowly_is_not(protocol: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connections, "READ_SECONDS", 0.5)

    async def use(shop: Shop) -> None:
        client = await unread(shop)
        for _ in range(15):
            await asyncio.sleep(0.1)
            assert len(await client.reader.readexactly(1_000_000)) == 1_000_000
        assert len(await client.reader.readexactly(5_000_000)) == 5_000_000

    over(protocol, use, Long)
