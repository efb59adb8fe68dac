"""Four times more than it can answer: the rest is refused, and afterwards it is as before."""

import asyncio
import itertools
import json
from collections.abc import Iterator

import pytest

from benchmarks.http_load import Load, Outcomes, post
from intent_cli.server_process import ServerProcess

pytestmark = pytest.mark.xdist_group("the open server")

NORMAL, CROWD = 16, 512  # with fewer, all of them wait for an answer before four times the load is sent
AT = "2001-02-19T00:00:00Z"


class Crowd:
    """Requests to one server, and what was said to those that were refused."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.refusals: list[dict] = []

    def _requests(self) -> Iterator[bytes]:
        for number in itertools.cycle(range(1, 13)):
            yield post(self._address, "/score", json.dumps({"user_id": f"{number:08d}", "at": AT}).encode())

    def _answered(self, status: int, body: bytes) -> None:
        if status != 200:
            self.refusals.append(json.loads(body))

    def ask(self, seconds: float, connections: int, rate: float | None = None) -> Outcomes:
        load = Load(self._address, self._requests(), connections, rate, self._answered)
        return asyncio.run(load.run(seconds))


def overloaded(server: ServerProcess, seconds: float, calm: float) -> tuple[Outcomes, Outcomes, Outcomes]:
    """Outcomes of a normal load, of four times as much as it answered, and of a normal load right afterwards."""
    crowd = Crowd(server.address)
    crowd.ask(calm / 2, NORMAL)
    before = crowd.ask(calm, NORMAL)
    during = crowd.ask(seconds, CROWD, 4 * before.throughput)
    after = crowd.ask(calm, NORMAL)
    assert {(told["status"], told["code"]) for told in crowd.refusals} == {(429, "too_many_requests")}
    return before, during, after


def told(before: Outcomes, during: Outcomes, after: Outcomes) -> str:
    def figures(outcomes: Outcomes) -> str:
        counts = dict(outcomes.counts())
        return f"{counts}, {outcomes.throughput:.0f}/s answered, p99 {outcomes.quantile(0.99) * 1e3:.0f} ms"

    sent = len(during.statuses) / during.seconds
    ratio = during.quantile(0.99) / before.quantile(0.99)
    return (
        f"overload, accepted p99 {ratio:.1f} x: before {figures(before)}; during ({sent:.0f}/s sent, refused in p50 "
        f"{during.quantile(0.5, 429) * 1e3:.0f} ms) {figures(during)}; after {figures(after)}"
    )


def require_only_refusals(before: Outcomes, during: Outcomes, after: Outcomes) -> None:
    assert set(before.counts()) == {200}
    assert set(during.counts()) == {200, 429}
    assert set(after.counts()) == {200}  # nothing of the crowd is left in the way
    assert after.refused == during.refused == 0


def test_an_overload_of_seconds(open_server: ServerProcess, record_property) -> None:
    outcomes = overloaded(open_server, 4, 1.5)
    record_property("fault", told(*outcomes))
    require_only_refusals(*outcomes)


@pytest.mark.slow
def test_an_overload_of_a_minute(open_server: ServerProcess, record_property) -> None:
    outcomes = overloaded(open_server, 60, 5)
    record_property("fault", told(*outcomes))
    require_only_refusals(*outcomes)
