"""Run what blocks beside the event loop, and refuse what would only wait: a bounded queue before a few threads."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from feature_repo.errors import DependencyDown

__all__ = ["BoundedExecutor", "Overloaded"]

T = TypeVar("T")


class Overloaded(DependencyDown):
    """Too much is in progress already; the caller tries again a little later."""


class BoundedExecutor:
    """`threads` threads, and at most `limit` calls running or waiting. Used from one event loop."""

    def __init__(self, threads: int, limit: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="score")
        self._threads, self._limit = threads, limit
        self._in_progress = 0

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Return what `function(*arguments)` returns, run on one of the threads.

        Raises:
            Overloaded: `limit` calls are in progress.
        """
        if self._in_progress >= self._limit:
            raise Overloaded(f"Too many requests are in progress: got more than {self._limit}. Try again in a second.")
        self._in_progress += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
        finally:
            self._in_progress -= 1

    async def on_each_thread(self, function: Callable[[], object]) -> None:
        """Run `function` once on every thread; nothing else may be running."""
        together = threading.Barrier(self._threads)

        def once() -> None:
            together.wait()  # a thread that had finished early would take another's turn
            function()

        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(self._pool, once) for _ in range(self._threads)))

    def close(self) -> None:
        """Finish what runs, forget what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)
