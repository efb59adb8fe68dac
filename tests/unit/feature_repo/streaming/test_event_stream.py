"""Pushing from many threads, the thread that applies, and what happens to an event on its way."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_repo.errors import DependencyDown, DifferenceFound
from feature_repo.streaming.online import OnlineViews
from feature_repo.streaming.outbox import Outbox
from feature_repo.streaming.stream import EventStream
from feature_repo.streaming.views import USER_COUNTERS, USER_EVENTS
from intent_stores.packed_codec import RowTimes, encode_rows
from intent_stores.packed_keys import entity_keys
from intent_stores.packed_reader import PackedReader
from intent_stores.packed_schema import PackedSchema
from intent_stores.packed_sqlite import PackedSqliteFile
from intent_stores.ragged_column import Ragged


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(f"sqlite:///{tmp_path}/outbox.db")
    yield box
    box.close()


@pytest.fixture
def store(tmp_path: Path) -> PackedSqliteFile:
    return PackedSqliteFile(tmp_path / "online.db", "p")


def event(number: int, user: str = "u", **more: object) -> dict[str, object]:
    moment = datetime.now(UTC) - timedelta(minutes=1)
    return {"event_id": f"e{number}", "user_id": user, "event_type": "view", "event_timestamp": moment, **more}


def views(store: PackedSqliteFile, user: str) -> int:
    found = PackedReader(store).read_columns([USER_COUNTERS], {"user_id": [user]})
    return int(found["user_counters"].values["view_count"][0])


def test_threads_that_push_together_get_their_own_receipts(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, commits, told = EventStream(outbox), [], {}
    append = Outbox.append

    def slow(self: Outbox, judged: list, now_us: int) -> list:
        commits.append(len(judged))
        time.sleep(0.02)
        return append(self, judged, now_us)

    monkeypatch.setattr(Outbox, "append", slow)

    def push(number: int) -> None:
        told[number] = stream.push([event(number), {"event_id": "bad"}, event(number)])

    threads = [threading.Thread(target=push, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = {one.seq: one.event.event_id for one in outbox.after(0, 100)}
    for number, (first, refused, again) in told.items():
        assert stored[first.seq] == f"e{number}"
        assert (first.is_new, again.is_new, again.seq) == (True, False, first.seq)
        assert refused.refusal is not None
    assert sum(commits) == 72
    assert len(commits) < 24, "nobody shared a transaction"


def test_when_the_outbox_is_away_everybody_who_waited_is_told() -> None:
    stream, refused = EventStream(Outbox("postgresql://u@127.0.0.1:1/none")), []

    def push(number: int) -> None:
        try:
            stream.push([event(number)])
        except DependencyDown as error:
            refused.append(error)

    threads = [threading.Thread(target=push, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 8


def test_a_running_stream_applies_what_it_and_others_push(outbox: Outbox, store: PackedSqliteFile) -> None:
    OnlineViews(store).begin(0)
    with EventStream(outbox, store) as stream:
        stream.push([event(1)])
        EventStream(outbox).push([event(2)])  # another process, say
        deadline = time.monotonic() + 30
        while views(store, "u") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert stream.position() == 2


def test_one_event_is_pushed_as_it_is(outbox: Outbox) -> None:
    (receipt,) = EventStream(outbox).push(event(1))
    assert (receipt.is_new, outbox.head()) == (True, 1)


def test_events_wait_until_the_store_was_materialised(outbox: Outbox, store: PackedSqliteFile) -> None:
    stream = EventStream(outbox, store)
    stream.push([event(1)])
    assert (stream.position(), stream.catch_up()) == (None, 0)
    OnlineViews(store).begin(0)
    assert (stream.catch_up(), views(store, "u")) == (1, 1)


def test_a_store_that_is_ahead_of_the_outbox_is_refused(outbox: Outbox, store: PackedSqliteFile) -> None:
    OnlineViews(store).begin(5)
    with pytest.raises(DifferenceFound, match="ends before it"):
        EventStream(outbox, store).catch_up()


def test_a_store_that_was_filled_from_another_outbox_is_refused(
    outbox: Outbox, store: PackedSqliteFile, tmp_path: Path
) -> None:
    OnlineViews(store).begin(0)
    stream = EventStream(outbox, store)
    stream.push([event(1), event(2)])
    stream.catch_up()
    other = EventStream(Outbox(f"sqlite:///{tmp_path}/other.db"), store)
    other.push([event(number) for number in (7, 8, 9)])
    with pytest.raises(DifferenceFound, match="another event of that number"):
        other.catch_up()
    assert (views(store, "u"), stream.catch_up()) == (2, 0)
    OnlineViews(store).begin(2, event_id="e8")  # what `intent materialize` says of a log with the other's events
    assert other.catch_up() == 1


def test_what_the_shop_does_not_say_is_empty_or_nan_online(outbox: Outbox, store: PackedSqliteFile) -> None:
    OnlineViews(store).begin(0)
    stream = EventStream(outbox, store)
    stream.push([event(1), event(2, item_id="i", category="c", quantity=2.0, revenue=3.5, cost=1.0, list_price=2.0)])
    stream.catch_up()
    found = PackedReader(store).read_columns([USER_EVENTS], {"user_id": ["u"]})["user_events"].values
    rows = zip(*(found[f"event_{name}"][0] for name in ("item", "category", "revenue", "price")), strict=True)
    assert sorted(map(str, rows)) == [
        "('', '', np.float64(nan), np.float64(nan))",
        "('i', 'c', np.float64(3.5), np.float64(2.0))",
    ]


def hold_older(store: PackedSqliteFile, view: str, fields: dict[str, str], columns: dict[str, Any]) -> None:
    """Let the store hold a row of the customer `u` as a version wrote it that knew only these fields."""
    row = encode_rows(PackedSchema(fields), columns, RowTimes.of([1], [1]))
    store.write(view, entity_keys(["user_id"], {"user_id": ["u"]}), row)


def test_a_row_of_another_schema_waits_for_a_materialisation(outbox: Outbox, store: PackedSqliteFile) -> None:
    OnlineViews(store).begin(0)
    hold_older(store, USER_COUNTERS.name, {"view_count": "Int64"}, {"view_count": [7]})
    stream = EventStream(outbox, store)
    stream.push([event(1), event(2, "other")])
    stream.catch_up()
    found = PackedReader(store).read_columns([USER_COUNTERS], {"user_id": ["u", "other"]})["user_counters"]
    assert found.reason.tolist() == ["other schema", None]


def test_a_list_of_another_schema_is_not_begun_anew(outbox: Outbox, store: PackedSqliteFile) -> None:
    OnlineViews(store).begin(0)
    lists = Ragged(np.arange(200), np.array([0, 200]))
    hold_older(store, USER_EVENTS.name, {"event_at": "Array(Int64)"}, {"event_at": lists})
    stream = EventStream(outbox, store)
    stream.push([event(1), event(2, "other")])
    stream.catch_up()
    found = PackedReader(store).read_columns([USER_EVENTS], {"user_id": ["u", "other"]})["user_events"]
    assert found.reason.tolist() == ["other schema", None]
    assert np.diff(found.values["event_at"].offsets).tolist() == [0, 1]


def test_no_counter_begins_anew_while_the_store_is_being_emptied(outbox: Outbox, store: PackedSqliteFile) -> None:
    OnlineViews(store).begin(0)
    stream = EventStream(outbox, store)
    stream.push([event(1)])
    store.drop(USER_COUNTERS.name)  # after the position was read, say
    OnlineViews(store).apply(outbox.after(0, 10), outbox)
    found = PackedReader(store).read_columns([USER_COUNTERS], {"user_id": ["u"]})["user_counters"]
    assert found.reason.tolist() == ["absent"]
    assert (stream.position(), stream.catch_up()) == (None, 0)
