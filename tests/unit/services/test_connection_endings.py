"""What is neither one request after the other nor HTTP: whose answer is whose, and where a connection ends."""

import asyncio

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.one_place_shop import BODY, PROTOCOLS, WHOLE, Client, Shop, over

OFFER = WHOLE.replace(b"\r\n", b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n", 1)
HEAD = len(OFFER) - len(BODY)


async def sent_in_pieces(client: Client, *pieces: bytes) -> None:
    for piece in pieces:
        client.writer.write(piece)
        await client.writer.drain()
        await asyncio.sleep(0.02)


async def is_closed(client: Client) -> bool:
    return await asyncio.wait_for(client.reader.read(1000), 2) == b""


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("cut", [len(OFFER), HEAD, HEAD + 5, HEAD - 1])
def test_who_offers_another_protocol_is_answered_in_this_one(protocol: type, cut: int) -> None:
    async def use(shop: Shop) -> None:
        shop.open.set()
        client = await shop.connect()
        await sent_in_pieces(client, OFFER[:cut], OFFER[cut:])
        status, _, body = await client.answer()
        assert status == 200
        assert BODY.startswith(body)  # the shop reads what is there
        assert shop.seen == 1  # a body is no request

    over(protocol, use)


def test_the_whole_body_of_such_a_request_is_read_and_the_connection_kept() -> None:
    async def use(shop: Shop) -> None:
        shop.open.set()
        client = await shop.connect()
        for _ in range(2):
            status, _, body = await client.ask(OFFER)
            assert (status, body) == (200, BODY)

    over(HttpToolsProtocol, use)


@pytest.mark.parametrize("offer", [OFFER.replace(b"Upgrade", b"uPGRADe"), OFFER.replace(b"POST", b"CONNECT")])
def test_an_offer_that_is_seen_too_late_has_one_answer_and_ends_the_connection(offer: bytes) -> None:
    async def use(shop: Shop) -> None:
        shop.open.set()
        client = await shop.connect()
        await sent_in_pieces(client, offer[: HEAD - 40], offer[HEAD - 40 :], WHOLE)
        _, headers, _ = await client.answer()
        assert headers["connection"] == "close"
        assert await is_closed(client)
        assert shop.seen == 1

    over(HttpToolsProtocol, use)


@pytest.mark.parametrize("in_pieces", [False, True])
def test_what_is_not_http_after_a_whole_request_takes_nothing_from_its_answer(in_pieces: bool) -> None:
    async def use(shop: Shop) -> None:
        client = await shop.connect()
        await sent_in_pieces(client, *((WHOLE, b"no HTTP\r\n\r\n") if in_pieces else (WHOLE + b"no HTTP\r\n\r\n",)))
        shop.open.set()
        status, headers, body = await client.answer()
        assert (status, body, headers["connection"]) == (200, BODY, "close")
        assert await is_closed(client)

    over(HttpToolsProtocol, use)


def test_what_is_not_http_inside_of_a_request_is_answered_as_that() -> None:
    async def use(shop: Shop) -> None:
        client = await shop.connect()
        head = b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        await sent_in_pieces(client, head, b"no length of a chunk\r\n")
        assert (await client.answer())[0] == 400
        assert await is_closed(client)

    over(HttpToolsProtocol, use)
