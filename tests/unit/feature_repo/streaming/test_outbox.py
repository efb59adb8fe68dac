"""The outbox on SQLite and PostgreSQL: numbers without gaps, times that rise, repetitions that change nothing."""

import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from feature_repo.errors import DependencyDown, SettingsError
from feature_repo.streaming.outbox import Outbox, Receipt
from feature_repo.streaming.validation import Event, Refusal


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/deep/outbox.db"
        return
    server = os.environ.get("INTENT_TEST_POSTGRES_URL") or pytest.skip("INTENT_TEST_POSTGRES_URL names no PostgreSQL")
    schema = f"t{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(server)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    yield f"{server}?options=-csearch_path%3D{schema}"
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture
def outbox(url: str) -> Iterator[Outbox]:
    box = Outbox(url)
    yield box
    box.close()


def view(number: int, user: str = "u", at: int = 100, created: int | None = None) -> tuple[Event, None]:
    return Event(f"e{number}", user, "view", at, created, revenue=0.1 + 0.2, category="Käse"), None


def test_an_event_comes_back_as_it_was_with_its_times_settled(outbox: Outbox) -> None:
    assert outbox.append([view(1, at=100)], now_us=250) == [Receipt(1, is_new=True)]
    (stored,) = outbox.after(0, 10)
    assert stored.event == Event("e1", "u", "view", 100, 250, revenue=0.1 + 0.2, category="Käse")


def test_an_outbox_of_before_events_had_prices_is_gone_on_with(url: str, outbox: Outbox) -> None:
    outbox.append([view(1)], now_us=200)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE stream_events DROP COLUMN list_price"))
    engine.dispose()
    later = Outbox(url)
    later.append([(Event("e2", "u", "view", 100, list_price=4.5), None)], now_us=201)
    assert [(stored.seq, stored.event.list_price) for stored in later.after(0, 10)] == [(1, None), (2, 4.5)]
    lacking = later.lacking({"u": (0, 0)})["u"]
    assert [(stored.event.revenue, stored.event.list_price) for stored in lacking] == [(0.1 + 0.2, None), (None, 4.5)]
    later.close()


def test_a_repetition_is_a_no_op_in_one_call_and_over_calls(outbox: Outbox) -> None:
    first = outbox.append([view(1), view(2), view(1, at=7)], now_us=200)
    assert first == [Receipt(1, True), Receipt(2, True), Receipt(1, False)]
    assert outbox.append([view(2, at=9), view(3)], now_us=201) == [Receipt(2, False), Receipt(3, True)]
    assert [(s.seq, s.event.event_id, s.event.event_us) for s in outbox.after(0, 10)] == [
        (1, "e1", 100), (2, "e2", 100), (3, "e3", 100)
    ]  # fmt: skip
    assert outbox.head() == 3


def test_creation_times_rise_whatever_the_clock_and_the_events_say(outbox: Outbox) -> None:
    outbox.append([view(1, at=50, created=60), view(2, at=50), view(3, at=50, created=90)], now_us=100)
    outbox.append([view(4, at=95)], now_us=80)  # the clock went back
    outbox.append([view(5, at=130, created=150)], now_us=120)  # another clock is ahead of ours
    outbox.append([view(6, at=300)], now_us=200)
    times = [(s.event.event_us, s.created_us) for s in outbox.after(0, 10)]
    assert times == [(50, 60), (50, 100), (50, 100), (95, 100), (120, 120), (200, 200)]
    assert [outbox.known_by(at) for at in (59, 60, 100, 119, 200)] == [0, 1, 4, 4, 6]


def test_refused_events_are_set_apart_once_and_hold_up_nobody(outbox: Outbox) -> None:
    refusal = Refusal("missing_user_id", "field user_id")
    given = {"event_id": "x", "nul": "\0", "lone": "\ud800"}
    for _ in range(2):
        receipts = outbox.append([(refusal, given), view(1), (Refusal("not_an_object", ""), 7)])
        assert [r.refusal and r.refusal.reason for r in receipts] == ["missing_user_id", None, "not_an_object"]
    assert outbox.quarantined() == {"missing_user_id": 1, "not_an_object": 1}
    assert outbox.head() == 1


def test_a_refused_event_that_no_json_can_hold_is_set_apart_too(outbox: Outbox) -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError

    deep: list = []
    deep.append(deep)
    refusal = Refusal("not_a_text", "field item_id")
    given = [{"item_id": cell} for cell in (deep, {(1, 2): 3}, 10**5000, Mute())] + [deep]
    receipts = outbox.append([*((refusal, one) for one in given), view(1)])
    assert [receipt.seq for receipt in receipts] == [None] * 5 + [1]
    assert outbox.quarantined() == {"not_a_text": 5}


def test_what_each_customer_lacks(outbox: Outbox) -> None:
    for number, user in enumerate(["a", "b", "a", "c", "a'\"{}"], start=1):
        outbox.append([view(number, user)], now_us=100 + number)
    found = outbox.lacking({"a": (1, 999), "b": (2, 999), "a'\"{}": (0, 0), "nobody": (0, 0)})
    assert {user: [s.seq for s in events] for user, events in found.items()} == {"a": [3], "a'\"{}": [5]}
    known_late = outbox.lacking({"a": (5, 101)})  # up to number 5, but only what was known by then
    assert [s.seq for s in known_late["a"]] == [3]


def test_pages_end_where_they_should(outbox: Outbox) -> None:
    outbox.append([view(number) for number in range(1, 8)])
    assert [s.seq for s in outbox.after(2, 3)] == [3, 4, 5]
    assert [s.seq for s in outbox.after(2, 30, until=4)] == [3, 4]
    assert outbox.after(7, 5) == []


def test_many_writers_make_one_row_of_numbers(url: str) -> None:
    """Several pushers, each with an outbox of its own, that also send what another sends."""
    boxes = [Outbox(url) for _ in range(4)]
    failures: list[BaseException] = []

    def push(box: Outbox, first: int) -> None:
        try:
            for number in range(first, first + 30):
                box.append([view(number), view(1000 + number % 7)])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=push, args=(box, 100 * place)) for place, box in enumerate(boxes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    stored = boxes[0].after(0, 1000)
    assert [s.seq for s in stored] == list(range(1, 4 * 30 + 7 + 1))
    assert len({s.event.event_id for s in stored}) == len(stored)
    assert [s.created_us for s in stored] == sorted(s.created_us for s in stored)
    for box in boxes:
        box.close()


@pytest.mark.parametrize("address", ["mysql://h/d", "sqlite://", "no address", "redis://h/0"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(SettingsError, match="address of the outbox"):
        Outbox(address)


def test_a_database_that_is_away_acknowledges_nothing_and_names_no_password() -> None:
    box = Outbox("postgresql://someone:secret@127.0.0.1:1/none")
    with pytest.raises(DependencyDown, match="no event of this call was acknowledged") as caught:
        box.append([view(1)])
    assert "secret" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DependencyDown, match="cannot be written"):
        Outbox(f"sqlite:///{tmp_path}/file/outbox.db").append([view(1)])
