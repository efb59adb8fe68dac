"""Shuffled events from several processes at once: the newest of each key is what stays, on both stores."""

import multiprocessing
import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intent_stores.packed_codec import RowTimes, encode_rows
from intent_stores.packed_keys import entity_keys
from intent_stores.packed_reader import PackedReader
from intent_stores.packed_sqlite import PackedSqliteFile
from intent_stores.packed_view import PackedView

VIEW = PackedView("race", {"event": "Int64", "created": "Int64", "sequence": "Int64"}, ("key",))
WRITERS, KEYS = 4, 200


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


def shuffled_events(count: int) -> np.ndarray:
    """(key, event, creation, sequence) with many ties in the first two times and none in all three."""
    random = np.random.default_rng(11)
    key = random.integers(0, KEYS, count)
    return np.column_stack(
        [key, random.integers(-3, 3, count), random.integers(-2, 2, count), random.permutation(count)]
    )


@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_four_writers_and_no_stale_win(kind: str, count: int, tmp_path: Path) -> None:
    where, project = str(tmp_path / "race.db"), f"t{uuid.uuid4().hex[:12]}"
    if kind == "redis":
        pytest.importorskip("redis")
        where = os.environ.get("INTENT_TEST_REDIS_URL") or pytest.skip("INTENT_TEST_REDIS_URL names no Redis")
    events = shuffled_events(count)
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
        print(f"{kind}: {count} events, {WRITERS} writers, {len(expected)} keys, {stale} stale wins")  # noqa: T201
        assert stale == 0
    finally:
        store.drop(VIEW.name)
        store.close()
