"""PostgreSQL killed and frozen under a service whose outbox it is: scores go on, and no event is lost or kept twice."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from benchmarks.http_load import post
from feature_repo.streaming.online import OnlineViews
from feature_repo.streaming.outbox import Outbox
from intent_cli.bento_server import Bento, free_port, running
from intent_stores.packed_redis import PackedRedisServer
from services.client import IntentClient
from services.event_contracts import EventBody
from services.event_intake import OUTBOX_VARIABLE
from services.online_url import RedisUrl
from services.request_handling import WRITES_IN_PROGRESS
from tests.online_store import PROJECT, VIEWS, write_rows
from tests.servers import PrivatePostgres, PrivateRedis
from tests.service_load import Answers, sending, under_load
from tests.tiny_shop import shop
from tests.waiting import until
from training.packaging.publish import publish

pytestmark = pytest.mark.faults
BACK_SECONDS = 5
SCORES_A_SECOND, EVENTS_A_SECOND, TOGETHER = 100, 40, 2
EVENT_CONNECTIONS = 2 * WRITES_IN_PROGRESS
"""More than may wait for the outbox; with those of the scores as many as a worker has places."""


@dataclass
class Pushed:
    """Requests of new events, without end, and how many events were ever sent."""

    address: str
    sent: int = 0

    def requests(self) -> Iterator[bytes]:
        while True:
            events = [event(number) for number in range(self.sent, self.sent + TOGETHER)]
            self.sent += TOGETHER
            yield post(self.address, "/events", json.dumps({"events": events}).encode())


def event(number: int) -> dict[str, str]:
    moment = f"2024-01-01T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z"
    return {"event_id": f"e{number}", "user_id": f"u{number % 7}", "event_type": "view", "event_timestamp": moment}


@pytest.fixture
def address(
    tiny_bundle_folder: Path,
    private_redis: PrivateRedis,
    private_postgres: PrivatePostgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """A served bento with a Redis and a PostgreSQL of its own, materialised and ready for events."""
    store = PackedRedisServer(private_redis.url, PROJECT, read_budget_seconds=5)
    for view in VIEWS:
        write_rows(store, view, shop()[view.name])
    OnlineViews(store).begin(0)
    store.close()
    published = publish(tiny_bundle_folder, home=tmp_path / "home")
    bento = Bento(published.bento, published.home, RedisUrl(private_redis.url, PROJECT))
    monkeypatch.setenv(OUTBOX_VARIABLE, private_postgres.url)
    with running(bento, free_port(), log=tmp_path / "serve.log") as server:
        yield server.address


def more(count: Callable[[], int], by: int, seconds: float = 60) -> float:
    wanted = count() + by
    return until(lambda: count() >= wanted, seconds)


def taken_again(events: Answers) -> float:
    """Wait for an acknowledgement that was asked for from now on: one a connection may have been under way."""
    return more(lambda: events.count, EVENT_CONNECTIONS + 1, BACK_SECONDS)


def refused(events: Answers) -> int:
    """How many requests were told that the outbox is away."""
    return sum(status == 503 for status, _ in events.problems)


def refused_alone(address: str) -> None:
    """One more request in the outage, and all of its answer."""
    one = {"event_id": "alone", "user_id": "u", "event_type": "view", "event_timestamp": "2024-01-01T00:00:00Z"}
    deadline, status = time.monotonic() + 60, 429
    while status == 429 and time.monotonic() < deadline:  # others may have all the places just now
        answer = httpx.post(f"{address}/events", json={"events": [one]}, timeout=60, trust_env=False)
        status = answer.status_code
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.json()["code"] == "outbox_away"
    assert "nothing was acknowledged" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) >= 1


def degraded(address: str) -> list[bool]:
    """Of each reason why /readyz says degraded whether it is the outbox."""
    why = httpx.get(f"{address}/readyz", timeout=60, trust_env=False).json()["why"]
    return [OUTBOX_VARIABLE in reason for reason in why]


def test_postgresql_killed_and_frozen_under_events_and_scores(
    address: str, private_redis: PrivateRedis, private_postgres: PrivatePostgres, record_property
) -> None:
    pushed = Pushed(address)
    with (
        under_load(address, 4, SCORES_A_SECOND) as scores,
        sending(address, pushed.requests(), EVENT_CONNECTIONS, EVENTS_A_SECOND) as events,
    ):
        more(lambda: events.count, 20)
        private_postgres.kill()
        more(lambda: refused(events), 20)
        refused_alone(address)
        assert degraded(address) == [True]
        more(lambda: scores.count, 50)
        private_postgres.start()
        back = [taken_again(events)]
        more(lambda: events.count, 20)
        private_postgres.freeze()
        acknowledged = events.count
        more(lambda: scores.count, 50)  # by now events wait for PostgreSQL
        waiting = events.count + refused(events)
        more(lambda: scores.count, 50)  # and no score waits for them
        assert events.count + refused(events) == waiting
        until(lambda: degraded(address) == [True])  # while its answer is still being waited for
        more(lambda: refused(events), EVENT_CONNECTIONS)
        assert events.count <= acknowledged + EVENT_CONNECTIONS  # what was under way when it froze
        private_postgres.thaw()
        back.append(taken_again(events))
        more(lambda: events.count, 20)
    until(lambda: degraded(address) == [])
    assert scores.load is not None
    assert events.load is not None
    scored, told = scores.load.outcomes.counts(), events.load.outcomes.counts()
    assert scored.keys() == {200}, scores.problems[:3]
    codes = {(status, json.loads(body)["code"]) for status, body in events.problems}
    assert codes == {(429, "too_many_requests"), (503, "outbox_away")}
    assert told.keys() == {200, 429, 503}
    kept = require_none_lost_none_twice(events, pushed, address, private_postgres, private_redis)
    slowest = [scores.load.outcomes.quantile(share) * 1e3 for share in (0.99, 1)]
    record_property(
        "fault",
        f"PostgreSQL killed and frozen under a service: {scored[200]} scores, all 200, p99 {slowest[0]:.0f} ms, "
        f"slowest {slowest[1]:.0f} ms; requests of events: {told[200]} taken, {told[503]} refused, {told[429]} too "
        f"many; {kept} events acknowledged, 0 lost, 0 twice; taken again after {back[0]:.1f} and {back[1]:.1f} s",
    )


def require_none_lost_none_twice(
    events: Answers, pushed: Pushed, address: str, postgres: PrivatePostgres, redis: PrivateRedis
) -> int:
    """Look at the outbox, push all once more as a shop would, and return how many were acknowledged under load."""
    acknowledged = {receipt["event_id"]: receipt["seq"] for body in events.bodies for receipt in body["receipts"]}
    outbox = Outbox(postgres.url)
    stored = {one.event.event_id: one.seq for one in outbox.after(0, 1_000_000)}
    assert acknowledged.items() <= stored.items()  # and under the number that its receipt says
    with IntentClient(address) as client:
        for start in range(0, pushed.sent, 500):
            again = [
                EventBody.model_validate_json(json.dumps(event(n))) for n in range(start, min(start + 500, pushed.sent))
            ]
            statuses = Counter(receipt.status for receipt in client.events(again).receipts)
            assert statuses["quarantined"] == 0
    found = [one.event.event_id for one in outbox.after(0, 1_000_000)]
    assert Counter(found).most_common(1)[0][1] == 1
    assert set(found) - {"alone"} == {event(number)["event_id"] for number in range(pushed.sent)}
    store = PackedRedisServer(redis.url, PROJECT, read_budget_seconds=5)
    until(lambda: OnlineViews(store).position() == outbox.head())
    outbox.close()
    store.close()
    return len(acknowledged)
