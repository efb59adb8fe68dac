"""A served bento under load from a thread of the test, while the test does something to it."""

import asyncio
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.http_load import Load, post

AT = "2001-02-19T00:00:00Z"


class Answers:
    """What came back: every body of a 200, and the load's own figures."""

    def __init__(self) -> None:
        self.load: Load | None = None
        self.bodies: list[dict] = []
        self.problems: list[tuple[int, str]] = []

    def take(self, status: int, body: bytes) -> None:
        if status == 200:
            self.bodies.append(json.loads(body))
        else:
            self.problems.append((status, body.decode(errors="replace")))

    @property
    def count(self) -> int:
        return len(self.bodies)


@contextmanager
def under_load(
    address: str, connections: int = 4, rate: float | None = None, reconnect: bool = True, customers: int = 12
) -> Iterator[Answers]:
    """Ask for scores while the block runs; afterwards `load.outcomes` has what became of all of it."""
    users = itertools.cycle(f"{number:08d}" for number in range(1, customers + 1))
    requests = (post(address, "/score", json.dumps({"user_id": user, "at": AT}).encode()) for user in users)
    with sending(address, requests, connections, rate, reconnect) as answers:
        yield answers


@contextmanager
def sending(
    address: str, requests: Iterator[bytes], connections: int, rate: float | None = None, reconnect: bool = True
) -> Iterator[Answers]:
    """Send these requests while the block runs, as `under_load` does."""
    answers, ready = Answers(), threading.Event()

    async def run() -> None:
        answers.load = Load(address, requests, connections, rate, answers.take, reconnect)
        ready.set()
        await answers.load.run()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield answers
    finally:
        assert answers.load is not None
        loop.call_soon_threadsafe(answers.load.stop)
        thread.join(30)
        assert not thread.is_alive(), "the load did not end"
        loop.close()
