"""One run of a view at a time, across processes: a lock that the system lets go of when its holder is killed."""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from intent_stores.errors import LedgerError

_POLL_SECONDS = 0.05


@contextmanager
def exclusive(connection: sa.Connection, name: str, wait_seconds: float) -> Iterator[None]:
    """Hold the lock `name` of the connection's database.

    In PostgreSQL it is an advisory lock of this very connection: whoever loses the connection can write nothing more.
    Beside a SQLite file it is a locked file in the folder `<file>-locks`, on one machine.

    Raises:
        LedgerError: somebody else held it for longer than `wait_seconds`.
    """
    number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)
    hold = _in_postgresql if connection.dialect.name == "postgresql" else _in_a_file
    with hold(connection, number, wait_seconds):
        yield


@contextmanager
def _in_postgresql(connection: sa.Connection, number: int, wait_seconds: float) -> Iterator[None]:
    def ask(function: str) -> bool:
        with connection.begin():
            return bool(connection.scalar(sa.text(f"SELECT {function}(:number)"), {"number": number}))

    _wait(lambda: ask("pg_try_advisory_lock"), wait_seconds)
    try:
        yield
    finally:
        with suppress(SQLAlchemyError):  # a lost connection holds no lock
            ask("pg_advisory_unlock")


@contextmanager
def _in_a_file(connection: sa.Connection, number: int, wait_seconds: float) -> Iterator[None]:
    database = Path(str(connection.engine.url.database))
    folder = database.with_name(f"{database.name}-locks")
    folder.mkdir(exist_ok=True)
    handle = os.open(folder / f"{number % 2**64:016x}", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _wait(lambda: _locked(handle), wait_seconds)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(got: Callable[[], bool], wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while not got():
        if time.monotonic() >= deadline:
            raise LedgerError(
                f"Another run has been materialising the same view for {wait_seconds:g} seconds; expected it to end. "
                "Nothing was written. Look for a run that hangs, or run it again later."
            )
        time.sleep(_POLL_SECONDS)
