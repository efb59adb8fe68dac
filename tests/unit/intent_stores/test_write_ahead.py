"""Whoever opens a SQLite file first waits for somebody who makes it just now: the store, the outbox and the ledger."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from feature_repo.streaming.outbox import Outbox
from intent_stores.materialization_ledger import Ledger
from intent_stores.write_ahead import use_write_ahead


@contextmanager
def being_made(path: Path, seconds: float) -> Iterator[None]:
    """A file that somebody else writes into for some seconds, not yet in write-ahead mode."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE theirs (a)")
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO theirs VALUES (1)")
    ends = threading.Timer(seconds, lambda: other.execute("COMMIT"))
    ends.start()
    try:
        yield
    finally:
        ends.join()
        other.close()


def test_the_outbox_waits(tmp_path: Path) -> None:
    with being_made(tmp_path / "x.db", 0.2):
        assert Outbox(f"sqlite:///{tmp_path}/x.db").head() == 0


def test_the_ledger_waits(tmp_path: Path) -> None:
    with being_made(tmp_path / "x.db", 0.2), Ledger(f"sqlite:///{tmp_path}/x.db").view("shop", "stats"):
        pass


def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    with being_made(tmp_path / "x.db", 0.3):
        mine = sqlite3.connect(tmp_path / "x.db", timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            use_write_ahead(mine, 0.02)
        mine.close()
