"""Requests of the same turn share a batch, each gets its own answer, and one's fault is nobody else's."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from services.bounded_executor import BoundedExecutor
from services.gathering import MOST, Gathering


class Answers:
    """Doubles numbers, and notes the batches; a negative one is refused."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, key: str, requests: Sequence[int]) -> list[int]:
        assert self.gate.wait(10)
        self.batches.append((key, list(requests)))
        if min(requests) < 0:
            raise ValueError("negative")
        return [2 * request for request in requests]


def test_what_comes_in_one_turn_is_one_batch_a_key() -> None:
    answers = Answers()

    async def run() -> list[int]:
        gathering: Gathering[str, int, int] = Gathering(answers)
        return await asyncio.gather(*(gathering.ask("ab"[n % 2], n) for n in range(10)))

    assert asyncio.run(run()) == [2 * n for n in range(10)]
    assert answers.batches == [("a", [0, 2, 4, 6, 8]), ("b", [1, 3, 5, 7, 9])]


def test_a_batch_is_bounded() -> None:
    answers = Answers()

    async def run() -> list[int]:
        gathering: Gathering[str, int, int] = Gathering(answers)
        return await asyncio.gather(*(gathering.ask("a", n) for n in range(2 * MOST + 3)))

    assert asyncio.run(run()) == [2 * n for n in range(2 * MOST + 3)]
    assert [len(batch) for _, batch in answers.batches] == [MOST, MOST, 3]


def test_one_fault_is_told_to_one() -> None:
    async def run() -> list[int | BaseException]:
        gathering: Gathering[str, int, int] = Gathering(Answers())
        return await asyncio.gather(*(gathering.ask("a", n) for n in (1, -1, 2)), return_exceptions=True)

    first, second, third = asyncio.run(run())
    assert (first, third) == (2, 4)
    assert isinstance(second, ValueError)


def test_beside_the_loop_what_comes_meanwhile_is_the_next_batch() -> None:
    answers = Answers()

    async def run() -> list[int]:
        executor = BoundedExecutor(threads=1, limit=4)
        gathering: Gathering[str, int, int] = Gathering(answers, executor.run)
        answers.gate.clear()
        first = asyncio.ensure_future(gathering.ask("a", 1))
        while not gathering._running:
            await asyncio.sleep(0)
        rest = [asyncio.ensure_future(gathering.ask("a", n)) for n in (2, 3)]
        await asyncio.sleep(0)
        answers.gate.set()
        found = await asyncio.gather(first, *rest)
        executor.close()
        return found

    assert asyncio.run(run()) == [2, 4, 6]
    assert answers.batches == [("a", [1]), ("a", [2, 3])]


def test_too_much_in_progress_is_told() -> None:
    async def refuse(*_: object) -> list[int]:
        raise RuntimeError("too much")

    async def run() -> None:
        with pytest.raises(RuntimeError, match="too much"):
            await Gathering[str, int, int](Answers(), refuse).ask("a", 1)

    asyncio.run(run())


def test_a_caller_that_has_gone_harms_nobody() -> None:
    async def run() -> int:
        gathering: Gathering[str, int, int] = Gathering(Answers())
        gone = asyncio.ensure_future(gathering.ask("a", 1))
        stays = asyncio.ensure_future(gathering.ask("a", 2))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(run()) == 4
