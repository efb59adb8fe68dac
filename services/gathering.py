"""Requests that come at the same time are scored at the same time: sixteen together cost little more than one.

Nobody waits for company. A request that comes alone is answered alone; those that the event loop finds waiting in the
same turn, or that came while the last ones were being scored, are read and scored in one batch.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

__all__ = ["MOST", "Gathering"]

K = TypeVar("K", bound=Hashable)
Q = TypeVar("Q")
A = TypeVar("A")
MOST = 64
"""The most requests in a batch."""


class Gathering(Generic[K, Q, A]):
    """Answers requests in batches, each for one key. Used from one event loop.

    Arguments:
        answer: takes a key and its requests, and returns their answers, in order.
        run: runs a call beside the event loop; None: it is quick, and is made on the event loop.
    """

    def __init__(
        self, answer: Callable[[K, Sequence[Q]], Sequence[A]], run: Callable[..., Awaitable[Any]] | None = None
    ) -> None:
        self._answer, self._run = answer, run
        self._waiting: dict[K, list[tuple[Q, asyncio.Future[A]]]] = {}
        self._running: dict[K, asyncio.Task[None]] = {}

    async def ask(self, key: K, request: Q) -> A:
        """Return the answer to one request; raises what answering it raised."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[A] = loop.create_future()
        waiting = self._waiting.setdefault(key, [])
        waiting.append((request, future))
        if len(waiting) == 1 and key not in self._running:
            loop.call_soon(self._begin, key)
        return await future

    def _begin(self, key: K) -> None:
        """Take what waits: on the event loop all that came in this turn, beside it all since the last batch."""
        batch = self._waiting.pop(key, [])
        if len(batch) > MOST:
            self._waiting[key] = batch[MOST:]
            batch = batch[:MOST]
        if self._run is None:
            self._settle(key, batch, self._answers(key, [request for request, _ in batch]))
        elif batch:
            self._running[key] = asyncio.ensure_future(self._beside(self._run, key, batch))

    async def _beside(
        self, run: Callable[..., Awaitable[Any]], key: K, batch: list[tuple[Q, asyncio.Future[A]]]
    ) -> None:
        try:
            answers = await run(self._answers, key, [request for request, _ in batch])
        except Exception as error:  # too much is in progress
            answers = [error] * len(batch)
        del self._running[key]
        self._settle(key, batch, answers)

    def _answers(self, key: K, requests: Sequence[Q]) -> Sequence[A | Exception]:
        try:
            return self._answer(key, requests)
        except Exception as error:  # whatever it is, whoever asked is told
            if len(requests) == 1:
                return [error]
        return [answer for request in requests for answer in self._answers(key, [request])]  # it may be one's fault

    def _settle(self, key: K, batch: list[tuple[Q, asyncio.Future[A]]], answers: Sequence[A | Exception]) -> None:
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():  # its caller has gone
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        if self._waiting.get(key):
            asyncio.get_running_loop().call_soon(self._begin, key)
