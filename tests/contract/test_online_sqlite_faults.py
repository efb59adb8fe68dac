"""The SQLite store on a disk that is full or turns read-only: a clear error, and everything stored before is readable.

The disk is a small one in memory, mounted for the test.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from intent_stores.errors import OnlineStoreUnavailableError
from intent_stores.packed_codec import RowTimes, encode_rows
from intent_stores.packed_keys import entity_keys
from intent_stores.packed_sqlite import PackedSqliteFile, sqlite_reader
from intent_stores.packed_view import PackedView
from tests.small_disk import remount, small_disk

pytestmark = pytest.mark.faults

VIEW = PackedView("stats", {"score": "Float64", "text": "String"}, ("user",))
BATCH = 100


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as folder:
        yield folder


def write(store: PackedSqliteFile, batch: int, score: float = 1.5) -> None:
    users = [f"u{batch}-{place}" for place in range(BATCH)]
    columns = {"score": np.full(BATCH, score), "text": np.array(["x" * 100] * BATCH, object)}
    packed = encode_rows(VIEW.schema, columns, RowTimes.of(np.full(BATCH, 1000)))
    store.write(VIEW.name, entity_keys(("user",), {"user": users}), packed)


def scores(path: Path, batch: int) -> set[float]:
    users = [f"u{batch}-{place}" for place in range(BATCH)]
    found = sqlite_reader(path, "p").read_columns([VIEW], {"user": users}, at=1000)["stats"]
    return set(found.values["score"].tolist()) if set(found.status) == {"fresh"} else set()


def fill(store: PackedSqliteFile) -> int:
    """Write batches until the disk is full, and return how many were stored."""
    for batch in range(1000):
        try:
            write(store, batch)
        except OnlineStoreUnavailableError as error:
            if "full" not in str(error) or "free space" not in str(error):
                raise
            return batch
    raise AssertionError("the disk is never full")


def test_a_full_disk(disk: Path, record_property: Callable[[str, object], None]) -> None:
    path = disk / "online.db"
    store, stored, refused = PackedSqliteFile(path, "p"), 0, 0
    stored = fill(store)
    assert stored > 5
    for _ in range(20):
        with pytest.raises(OnlineStoreUnavailableError, match="nothing was stored"):
            write(store, stored)
        refused += 1
        assert scores(path, stored) == set()
    assert all(scores(path, batch) == {1.5} for batch in range(stored))
    remount(disk, "size=4m")
    write(store, stored, 2.5)
    assert scores(path, stored) == {2.5}
    assert all(scores(path, batch) == {1.5} for batch in range(stored))
    record_property(
        "fault", f"sqlite, disk full: {stored * BATCH:,} rows stored, {refused} writes refused, all rows read"
    )


def test_a_disk_that_turns_read_only(disk: Path, record_property: Callable[[str, object], None]) -> None:
    path = disk / "online.db"
    store = PackedSqliteFile(path, "p")
    for batch in range(5):
        write(store, batch)
    remount(disk, "ro")
    for _ in range(20):
        with pytest.raises(OnlineStoreUnavailableError, match="nothing was stored"):
            write(store, 5)
        assert all(scores(path, batch) == {1.5} for batch in range(5))
    remount(disk, "rw")
    write(store, 5)
    assert all(scores(path, batch) == {1.5} for batch in range(6))
    record_property("fault", f"sqlite, disk read-only: 20 writes refused, {5 * BATCH} rows read after each")
