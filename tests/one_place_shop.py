"""A uvicorn in this process whose connections are bounded, and which has one place: what its connections do is seen."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from benchmarks.http_load import post
from services.concurrency_limit import PLACE, ConcurrencyLimit, Place
from services.http_connections import bounded
from services.turnstile import Turnstile
from tests.own_certificate import Certificate

BODY = b'{"user_id": "1"}'
WHOLE = post("http://127.0.0.1:1", "/score", BODY)
KEPT_SECONDS = 1
PROTOCOLS = [H11Protocol, HttpToolsProtocol]


def may(path: str, authorization: bytes | None) -> bool:
    return authorization != b"Bearer wrong"


class Shop:
    """A server of one place whose answers wait for `open`; with a `certificate` it speaks TLS."""

    certificate: Certificate | None = None

    def __init__(self, protocol: type) -> None:
        self.limit = ConcurrencyLimit(1)
        self.refused: list[tuple[str, float]] = []
        self.open = asyncio.Event()
        self.seen = 0
        self.paths: list[str] = []
        stile = Turnstile(self.limit, ["/score"], may, lambda path, seconds: self.refused.append((path, seconds)))
        config = uvicorn.Config(
            self,
            port=0,
            http=bounded(protocol, stile),
            ws="none",
            lifespan="off",
            timeout_keep_alive=1,
            log_config=None,
            ssl_certfile=self.certificate and self.certificate.file,
            ssl_keyfile=self.certificate and self.certificate.key,
        )
        self.server = uvicorn.Server(config)

    async def __call__(self, scope, receive, send) -> None:
        with scope.pop(PLACE, None) or Place(self.limit):
            self.seen += 1
            self.paths.append(scope["path"])
            body = (await receive())["body"]
            await self.open.wait()
            headers = [(b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def connect(self) -> "Client":
        (listening,) = self.server.servers
        trusted = None if self.certificate is None else self.certificate.trusted()
        return Client(*await asyncio.open_connection(*listening.sockets[0].getsockname(), ssl=trusted))


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
