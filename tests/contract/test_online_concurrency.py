"""Shuffled events from several processes at once: the newest of each key is what stays, on both stores."""

import multiprocessing
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intent_stores.packed_codec import RowTimes, encode_rows
from intent_stores.packed_keys import entity_keys
from intent_stores.packed_merge import SequenceRule, merge_lists
from intent_stores.packed_reader import PackedReader
from intent_stores.packed_sqlite import PackedSqliteFile
from intent_stores.packed_view import PackedView
from intent_stores.ragged_column import Ragged

pytestmark = pytest.mark.faults

VIEW = PackedView("race", {"event": "Int64", "created": "Int64", "sequence": "Int64"}, ("key",))
WRITERS = 4


def open_store(kind: str, where: str, project: str) -> Any:
    if kind == "sqlite":
        return PackedSqliteFile(where, project, busy_timeout_seconds=60)
    from intent_stores.packed_redis import PackedRedisServer

    return PackedRedisServer(where, project, read_budget_seconds=2)


def write_events(kind: str, where: str, project: str, events: np.ndarray) -> None:
    store = open_store(kind, where, project)
    for part in np.array_split(events, max(1, len(events) // 20)):
        key, event, created, sequence = part.T
        columns = {"event": event, "created": created, "sequence": sequence}
        packed = encode_rows(VIEW.schema, columns, RowTimes.of(event, created, sequence))
        store.write(VIEW.name, entity_keys(VIEW.join_keys, {"key": key}), packed)
    store.close()


def shuffled_events(count: int, keys: int) -> np.ndarray:
    """(key, event, creation, sequence) with many ties in the first two times and none in all three."""
    random = np.random.default_rng(11)
    key = random.integers(0, keys, count)
    return np.column_stack(
        [key, random.integers(-3, 3, count), random.integers(-2, 2, count), random.permutation(count)]
    )


SIZES = [(5_000, 200), pytest.param(100_000, 1_000, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("count", "keys"), SIZES)
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_four_writers_and_no_stale_win(
    kind: str,
    count: int,
    keys: int,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    where, project = str(tmp_path / "race.db"), f"t{uuid.uuid4().hex[:12]}"
    if kind == "redis":
        where = request.getfixturevalue("private_redis").url
    events = shuffled_events(count, keys)
    context = multiprocessing.get_context("spawn")
    parts = np.array_split(events, WRITERS)
    writers = [context.Process(target=write_events, args=(kind, where, project, part)) for part in parts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(300)
    store = open_store(kind, where, project)
    try:
        assert [writer.exitcode for writer in writers] == [0] * WRITERS
        expected = {}
        for key, *times in events.tolist():
            expected[key] = max(expected.get(key, times), times)
        found = PackedReader(store).read_columns([VIEW], {"key": sorted(expected)}, at=10)["race"].values
        kept = np.column_stack([found["event"], found["created"], found["sequence"]]).tolist()
        stale = sum(row != expected[key] for key, row in zip(sorted(expected), kept, strict=True))
        told = f"{count:,} shuffled events, {WRITERS} writers, {len(expected):,} keys, {stale} stale wins"
        record_property("fault", f"{kind}: {told}")
        assert stale == 0
    finally:
        store.drop(VIEW.name)
        store.close()


LISTS = PackedView("lists", {"number": "Array(Int64)"}, ("key",))
RULE = SequenceRule(1_000, event_id="number", event_time="number")


def merge_events(kind: str, where: str, project: str, events: np.ndarray) -> None:
    """Push each (key, number) as a list of one, several keys at a time."""
    store = open_store(kind, where, project)
    for part in np.array_split(events, max(1, len(events) // 10)):
        keys, owner = np.unique(part[:, 0], return_inverse=True)
        ragged = Ragged(part[:, 1].copy(), np.arange(len(part) + 1))
        arriving = encode_rows(LISTS.schema, {"number": ragged}, RowTimes.of(part[:, 1]))

        def merged(places: Sequence[int], held: Sequence[bytes | None]) -> list[bytes]:
            mine = [(owner[i], value) for i, value in enumerate(arriving) if owner[i] in places]  # noqa: B023
            owners = [list(places).index(place) for place, _ in mine]
            return merge_lists(LISTS.schema, RULE, held, [value for _, value in mine], owners)

        store.change(LISTS.name, entity_keys(LISTS.join_keys, {"key": keys}), merged)
    store.close()


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_four_writers_merge_into_the_same_lists_and_lose_nothing(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    where, project = str(tmp_path / "lists.db"), f"t{uuid.uuid4().hex[:12]}"
    if kind == "redis":
        where = request.getfixturevalue("private_redis").url
    events = np.column_stack([np.random.default_rng(3).integers(0, 5, 800), np.arange(800)])
    context = multiprocessing.get_context("spawn")
    parts = [events[number::WRITERS] for number in range(WRITERS)]
    writers = [context.Process(target=merge_events, args=(kind, where, project, part)) for part in parts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    store = open_store(kind, where, project)
    try:
        assert [writer.exitcode for writer in writers] == [0] * WRITERS
        found = PackedReader(store).read_columns([LISTS], {"key": list(range(5))}, at=10**6)["lists"].values["number"]
        assert [found[key].tolist() for key in range(5)] == [
            events[events[:, 0] == key, 1].tolist() for key in range(5)
        ]
    finally:
        store.drop(LISTS.name)
        store.close()
