"""Streaming against a plain loop: whatever happens in between, online equals offline equals what was acknowledged.

The interleavings hold late, repeated and shuffled events, new customers, applying in part, crashes between any two
writes, a log that lags behind, and materialisations as of any moment.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.derived_tables import derive_table
from feature_repo.events import EVENT_SCHEMA, EVENT_TYPES, ITEM_SCHEMA, USER_SCHEMA, event_key
from feature_repo.streaming import online, stream
from feature_repo.streaming.online import OnlineViews
from feature_repo.streaming.outbox import Outbox
from feature_repo.streaming.stream import EventStream
from feature_repo.streaming.views import USER_COUNTERS, USER_EVENTS
from intent_stores.packed_arrow import table_columns
from intent_stores.packed_codec import RowTimes, encode_rows
from intent_stores.packed_keys import entity_keys
from intent_stores.packed_merge import merge_lists
from intent_stores.packed_reader import PackedReader
from intent_stores.packed_sqlite import PackedSqliteFile
from training.dataset.log_manifest import hash_log, require_whole_log, stream_position, write_log_manifest
from training.pipelines.stream_log import add_streamed_events
from training.progress import Silent

START = datetime(2001, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
USERS = ["a", "b", "neu"]
KEPT = 4

event = st.fixed_dictionaries(
    {
        "number": st.integers(0, 25),  # few, so that many are repetitions
        "user_id": st.sampled_from(USERS),
        "event_type": st.sampled_from(["view", "purchase", "return"]),
        "late": st.sampled_from([0, 0, 1, 1, 500]),
        "item_id": st.sampled_from(["i", None]),
        "list_price": st.sampled_from([2.5, 4.0, None]),
    }
)
operation = st.one_of(
    st.tuples(st.just("push"), st.lists(event, min_size=1, max_size=4)),
    st.tuples(st.just("apply"), st.integers(1, 5)),
    st.tuples(st.just("crash"), st.integers(0, 6)),
    st.tuples(st.just("materialise"), st.integers(0, 40)),
    st.tuples(st.just("write log"), st.none()),
)


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


class CrashError(Exception):
    pass


class Fragile:
    """A store that crashes before its n-th write."""

    def __init__(self, store: PackedSqliteFile, writes: int) -> None:
        self._store, self._left = store, writes

    def fetch(self, wanted: Any) -> Any:
        return self._store.fetch(wanted)

    def change(self, *arguments: Any) -> None:
        if not self._left:
            raise CrashError
        self._left -= 1
        self._store.change(*arguments)


class Shop:
    """A log, an outbox, an online store, and a clock that a test moves."""

    def __init__(self, folder: Path, imported: list[dict]) -> None:
        self.out, self.now, self.held_until = folder, START, START
        rows = [canonical(one, f"imported-{number}", START - one["late"] * MINUTE - MINUTE, START)
                for number, one in enumerate(imported)]  # fmt: skip
        for name, schema in (("events", EVENT_SCHEMA), ("users", USER_SCHEMA), ("items", ITEM_SCHEMA)):
            (folder / name).mkdir()
            table = pa.Table.from_pylist(rows if name == "events" else [], schema=schema)
            pq.write_table(table, folder / name / "part-0.parquet")
        write_log_manifest(folder, hash_log(folder), {})
        self.imported = rows
        self.outbox = Outbox(f"sqlite:///{folder}/stream/outbox.db")
        self.store = PackedSqliteFile(folder / "online.db", "p")

    def stream(self, store: Any = None) -> EventStream:
        return EventStream(self.outbox, store or self.store, clock=lambda: micros(self.now))

    def push(self, events: list[dict]) -> None:
        self.now += MINUTE
        given = []
        for one in events:
            row = canonical(one, f"e{one['number']}", self.now - one["late"] * MINUTE, None)
            given.append({name: value for name, value in row.items() if value is not None})
        self.stream().push(given)

    def crash(self, writes: int) -> None:
        with suppress(CrashError):
            EventStream(self.outbox, Fragile(self.store, writes)).catch_up()

    def write_log(self) -> None:
        add_streamed_events(self.out, self.outbox, Silent())
        require_whole_log(self.out)

    def materialise(self, minutes_ago: int) -> None:
        """As `intent materialize` does: what the log held at a moment, which a view's rows never go back from."""
        at = self.now - minutes_ago * MINUTE
        self.held_until = max(self.held_until, at)
        seq = stream_position(self.out)
        for view in (USER_COUNTERS, USER_EVENTS):
            table = derive_table(view.name, self.out)
            known = [row for row in table.to_pylist() if row["created_timestamp"] <= self.held_until
                     and row["event_timestamp"] <= self.held_until]  # fmt: skip
            for user in USERS:
                self._write(view, user, [row for row in known if row["user_id"] == user], seq)
        OnlineViews(self.store).begin(min(seq, self.outbox.known_by(micros(at))))

    def _write(self, view: Any, user: str, rows: list[dict], seq: int) -> None:
        if not rows:
            return
        rows.sort(key=lambda row: (row["event_timestamp"], row["created_timestamp"]))
        times = RowTimes.of([micros(rows[-1]["event_timestamp"])], [micros(rows[-1]["created_timestamp"])], seq)
        keys = entity_keys(view.join_keys, {"user_id": [user]})
        last = rows[-KEPT:] if view is USER_EVENTS else rows[-1:]
        cells = {name: [row[name] for row in last] for name in view.fields}
        cells = {name: [column] for name, column in cells.items()} if view is USER_EVENTS else cells
        packed = encode_rows(view.schema, *by_columns(view, cells, times))
        if view is USER_EVENTS:
            self.store.change(
                view.name, keys, lambda _, held: merge_lists(view.schema, online.SEQUENCE, held, packed, [0])
            )
        else:
            self.store.write(view.name, keys, packed)

    def events(self) -> list[dict]:
        """Everything that the shop knows, from the log and from the outbox."""
        rows = [{**row, "event_us": micros(row["event_timestamp"]), "created_us": micros(row["created_timestamp"])}
                for row in self.imported]  # fmt: skip
        return rows + [vars(stored.event) for stored in self.outbox.after(0, 10_000)]


def by_columns(view: Any, cells: dict, times: RowTimes) -> tuple[dict, RowTimes, dict]:
    columns, valid = table_columns(view.schema, pa.table(cells))
    return columns, times, valid


def canonical(one: dict, event_id: str, happened: datetime, known: datetime | None) -> dict:
    kept = {name: one[name] for name in ("user_id", "event_type", "item_id", "list_price")}
    return kept | {"event_id": event_id, "event_timestamp": happened, "created_timestamp": known}


Steps = list[tuple[int, str]]  # each event's key, and its price as text, for NaN is no value to compare


def by_hand(events: list[dict], user: str) -> tuple[dict | None, Steps]:
    mine = [e for e in events if e["user_id"] == user]
    if not mine:
        return None, []
    counters = {f"{kind}_count": sum(e["event_type"] == kind for e in mine) for kind in EVENT_TYPES}
    moments = [e["event_us"] for e in mine]
    counters |= {"first_event_at": min(moments), "last_event_at": max(moments)}
    order = sorted((e["event_us"], e["created_us"], event_key(e["event_id"]), e["list_price"] or "nan") for e in mine)
    return counters, [(key, str(price)) for _, _, key, price in order][-KEPT:]


def told_online(shop: Shop, user: str) -> tuple[dict | None, Steps]:
    found = PackedReader(shop.store).read_columns([USER_COUNTERS, USER_EVENTS], {"user_id": [user]}, micros(shop.now))
    counters, lists = found["user_counters"], found["user_events"]
    keys, prices = (lists.values[name][0].tolist() for name in ("event_key", "event_price"))
    steps = list(zip(keys, map(str, prices), strict=True))
    if counters.status[0] == "missing":
        return None, steps
    return {name: int(counters.values[name][0]) for name in USER_COUNTERS.fields}, steps


def told_offline(shop: Shop, user: str) -> tuple[dict | None, Steps]:
    rows = [row for row in derive_table("user_counters", shop.out).to_pylist() if row["user_id"] == user]
    rows.sort(key=lambda row: (row["event_timestamp"], row["created_timestamp"]))
    listed = [row for row in derive_table("user_events", shop.out).to_pylist() if row["user_id"] == user]
    order = sorted((row["event_at"], row["event_known_at"], row["event_key"], row["event_price"]) for row in listed)
    counters = {name: rows[-1][name] for name in USER_COUNTERS.fields} if rows else None
    return counters, [(key, str(price)) for _, _, key, price in order][-KEPT:]


def run(folder: Path, imported: list[dict], operations: list[tuple[str, Any]]) -> None:
    shop = Shop(folder, imported)
    if len(operations) % 3:  # else the first materialisation comes when it comes, and events wait for it
        shop.materialise(0)
    for name, how in operations:
        match name:
            case "push":
                shop.push(how)
            case "apply":
                shop.stream().catch_up(how)
            case "crash":
                shop.crash(how)
            case "materialise":
                shop.materialise(how)
            case _:
                shop.write_log()
    if shop.stream().position() is None:
        shop.materialise(0)
    shop.stream().catch_up()
    shop.write_log()
    for user in USERS:
        expected = by_hand(shop.events(), user)
        assert told_online(shop, user) == expected
        assert told_offline(shop, user) == expected
    shop.outbox.close()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short lists and batches, so that few events overflow them."""
    monkeypatch.setattr(online, "SEQUENCE", replace(online.SEQUENCE, length=KEPT))
    monkeypatch.setattr(stream, "BATCH", 3)


CASE = (st.lists(event, max_size=4), st.lists(operation, min_size=1, max_size=14))


@given(*CASE)
@settings(max_examples=15, deadline=None)
def test_online_equals_offline_after_any_interleaving(imported, operations) -> None:
    with TemporaryDirectory() as folder:
        run(Path(folder), imported, operations)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(*CASE)
@settings(max_examples=300, deadline=None)
def test_online_equals_offline_after_many_interleavings(imported, operations) -> None:
    with TemporaryDirectory() as folder:
        run(Path(folder), imported, operations)
