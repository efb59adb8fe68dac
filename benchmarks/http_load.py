"""A load generator for HTTP/1.1 on kept connections: raw sockets under asyncio, so that little of the time is its own.

Closed loop: every connection sends its next request when the last one is answered. Open loop (`rate`): requests are due
at fixed moments whatever the answers do, and their time counts from that moment.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

__all__ = ["LOST", "Load", "Outcomes", "post"]

LOST = 0
"""The status of a request that was sent and not answered."""


def post(address: str, path: str, body: bytes) -> bytes:
    """Return a POST request as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: {urlsplit(address).netloc}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class Outcomes:
    """What became of the requests: their seconds, and how many had which status.

    `refused` counts connections that were not accepted; nothing was sent on them. `processor` is the generator's own
    processor time, in seconds, while it ran for `seconds`.
    """

    latencies: list[float] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    refused: int = 0
    seconds: float = 0.0
    processor: float = 0.0
    unsent: int = 0

    def counts(self) -> Counter[int]:
        """Status → how many."""
        return Counter(self.statuses)

    def of(self, status: int) -> list[float]:
        """The seconds of the requests with this status, sorted."""
        return sorted(s for s, found in zip(self.latencies, self.statuses, strict=True) if found == status)

    def quantile(self, share: float, status: int = 200) -> float:
        """Seconds that `share` of the requests with this status did not exceed; NaN of none."""
        found = self.of(status)
        return found[min(len(found) - 1, int(share * len(found)))] if found else float("nan")

    @property
    def throughput(self) -> float:
        """Requests answered with 200 a second."""
        return self.counts()[200] / self.seconds if self.seconds else 0.0


class Load:
    """Requests to one server over some connections."""

    def __init__(
        self,
        address: str,
        requests: Iterator[bytes],
        connections: int = 1,
        rate: float | None = None,
        on_answer: Callable[[int, bytes], None] | None = None,
        reconnect: bool = True,
    ) -> None:
        """Prepare; nothing is sent before `run`.

        Args:
            address: such as `http://127.0.0.1:3000`.
            requests: whole requests, without end.
            connections: how many are open at most.
            rate: requests a second, over all connections; None: as fast as they are answered.
            on_answer: is told the status and the body of every answer.
            reconnect: whether a connection that ends is opened again.
        """
        parts = urlsplit(address)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._requests, self._connections, self._rate = requests, connections, rate
        self.on_answer, self.reconnect = on_answer, reconnect
        self.outcomes = Outcomes()
        self.stopping = False
        self._idle: deque[_Connection] = deque()
        self._ended = asyncio.Event()
        self._open = 0

    async def run(self, seconds: float | None = None, count: int | None = None) -> Outcomes:
        """Send for so many seconds, or so many requests, or until `stop`, and wait for what is under way."""
        self._left = count
        begun, processor = time.perf_counter(), time.process_time()
        for _ in range(self._connections):
            await self._connect()
        if self._rate is not None:
            await self._send_at_rate(begun, seconds)
        elif seconds is not None:
            await self._wait(seconds)
        else:
            await self._ended.wait()
        self.stop()
        await self._drain()
        self.outcomes.seconds = time.perf_counter() - begun
        self.outcomes.processor = time.process_time() - processor
        return self.outcomes

    def stop(self) -> None:
        """Send nothing any more; from the loop's thread."""
        self.stopping = True
        self._ended.set()

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._ended.wait(), seconds)
        except TimeoutError:
            return

    async def _send_at_rate(self, begun: float, seconds: float | None) -> None:
        assert self._rate is not None  # noqa: S101
        sent = 0
        while not self.stopping and (seconds is None or time.perf_counter() - begun < seconds):
            due = int((time.perf_counter() - begun) * self._rate) - sent
            for _ in range(due):
                if self._idle:
                    # In turn: one left idle would be closed by the server, perhaps as its next request is sent.
                    self._idle.popleft().send(next(self._requests), begun + sent / self._rate)
                else:
                    self.outcomes.unsent += 1
                sent += 1
            await asyncio.sleep(0.001)

    async def _drain(self) -> None:
        deadline = time.perf_counter() + 10
        while self._open > len(self._idle) and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(self._idle):
            connection.close()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.stopping:
            try:
                await loop.create_connection(lambda: _Connection(self), self._host, self._port)
                return
            except OSError:
                self.outcomes.refused += 1
                if not self.reconnect:
                    return
                await asyncio.sleep(0.05)

    def opened(self, connection: "_Connection") -> None:
        """Take a connection that is open."""
        self._open += 1
        self.ready(connection)

    def ready(self, connection: "_Connection") -> None:
        """Take a connection on which the next request may be sent."""
        if self._left is not None and self._left <= 0:
            self.stop()
        if self.stopping or self._rate is not None:
            self._idle.append(connection)
            return
        if self._left is not None:
            self._left -= 1
        connection.send(next(self._requests), time.perf_counter())

    def lost(self, connection: "_Connection") -> None:
        """Take the end of a connection."""
        self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        if self.reconnect and not self.stopping:
            self._task = asyncio.ensure_future(self._connect())
        elif not self._open:
            self._ended.set()


class _Connection(asyncio.Protocol):
    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._begun: float | None = None
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._load.opened(self)

    def send(self, request: bytes, due: float) -> None:
        assert self._transport is not None  # noqa: S101
        self._begun, self._data = due, b""
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0 or self._begun is None:
            return
        head = self._data[:end].lower()
        size = _content_length(head)
        if len(self._data) < end + 4 + size:
            return
        status = int(head[9:12])
        self._note(status)
        if self._load.on_answer is not None:
            self._load.on_answer(status, self._data[end + 4 :])
        if b"connection: close" in head:
            self.close()
        else:
            self._load.ready(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self._begun is not None:
            self._note(LOST)
        self._load.lost(self)

    def _note(self, status: int) -> None:
        assert self._begun is not None  # noqa: S101
        now = time.perf_counter()
        self._load.outcomes.latencies.append(now - self._begun)
        self._load.outcomes.moments.append(now)
        self._load.outcomes.statuses.append(status)
        self._begun = None


def _content_length(head: bytes) -> int:
    start = head.find(b"content-length:")
    return (
        int(head[start + 15 : head.find(b"\r", start) if head.find(b"\r", start) > 0 else len(head)])
        if start >= 0
        else 0
    )
