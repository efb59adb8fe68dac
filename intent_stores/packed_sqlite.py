"""Packed values in one SQLite file: a table for each (project, view), readers that never wait for a writer."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from urllib.parse import quote

from intent_stores.errors import OnlineStoreUnavailableError
from intent_stores.packed_keys import quoted
from intent_stores.packed_reader import WRITINGS, Change, Fetched, PackedReader, Wanted
from intent_stores.packed_schema import VERSION_BYTES
from intent_stores.sql_text import identifier
from intent_stores.write_ahead import use_write_ahead

_KEYS_AT_ONCE = 1000  # in one statement; SQLite takes 32,766
_FEW_KEYS = 32  # up to here one statement over all views beats one for each
_READ_WAIT_SECONDS = 0.025  # only a damaged journal makes a reader wait at all


class PackedSqliteFile:
    """A `PackedStore` (see `packed_reader`) in one file, in write-ahead mode.

    Every thread has a connection of its own; a file that was replaced is opened anew. Reading makes no file.
    """

    notes_writings = True

    def __init__(self, path: str | Path, project: str, busy_timeout_seconds: float = 10.0) -> None:
        """Prepare; nothing is opened before the first call.

        Arguments:
            busy_timeout_seconds: how long a writer waits for another.
        """
        self._path = Path(path)
        self._address = str(path)
        self._project = project
        self._busy = busy_timeout_seconds
        self._open = threading.local()

    def fetch(self, wanted: Wanted) -> Fetched:
        """Return the values of all views, from one snapshot of the file."""
        try:
            return self._found(self._reading(), wanted)
        except FileNotFoundError:
            return _nothing(wanted, f"no file at {self._path}")
        except (sqlite3.Error, OSError) as error:
            return _nothing(wanted, f"SQLite: {error}")

    def write(self, view: str, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Store values in one transaction; the table is made if it is not there.

        Raises:
            OnlineStoreUnavailableError: read-only, full, locked for too long, or no database. Nothing was stored.
        """
        table, version = identifier(self._table(view)), f"1, {VERSION_BYTES}"
        upsert = (
            f"INSERT INTO {table} VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value "
            f"WHERE substr(excluded.value, {version}) >= substr(value, {version})"
        )

        def store(connection: sqlite3.Connection) -> None:
            connection.execute(_create(table))
            connection.executemany(upsert, zip(keys, values, strict=True))
            self._note(connection, view)

        self._change(store)

    def change(self, view: str, keys: Sequence[bytes], change: Change) -> None:
        """Replace values by what `change` makes of those that are there, in one transaction that no writer shares.

        Raises:
            OnlineStoreUnavailableError: read-only, full, locked for too long, or no database. Nothing was stored.
        """
        name = self._table(view)
        upsert = f"INSERT INTO {identifier(name)} VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"

        def swap(connection: sqlite3.Connection) -> None:
            connection.execute(_create(identifier(name)))
            fresh = change(range(len(keys)), _select(connection, name, keys) or [])
            rows = [(key, value) for key, value in zip(keys, fresh, strict=True) if value is not None]
            connection.executemany(upsert, rows)
            self._note(connection, view)

        self._change(swap)

    def create(self, view: str) -> None:
        """Make the table of a view, so that readers find it empty."""
        self._change(lambda connection: connection.execute(_create(identifier(self._table(view)))))

    def lacking(self, views: Sequence[str]) -> list[str]:
        """Return which of these views the file has no table for: they were never registered or written.

        Raises:
            OnlineStoreUnavailableError: the file cannot be read.
        """
        try:
            found = self._reading().execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        except (sqlite3.Error, OSError) as error:
            raise OnlineStoreUnavailableError(f"The online store {self._path} cannot be read ({error}).") from error
        return [view for view in views if (self._table(view),) not in found]

    def count(self, view: str) -> int:
        """Return how many values of a view there are.

        Raises:
            OnlineStoreUnavailableError: the file cannot be read.
        """
        if not self._path.exists():
            return 0
        try:
            query = f"SELECT count(*) FROM {identifier(self._table(view))} WHERE substr(key, 1, 1) <> x'23'"  # no note
            return int(self._reading().execute(query).fetchone()[0])
        except (sqlite3.Error, OSError) as error:
            if "no such table" in str(error):
                return 0
            raise OnlineStoreUnavailableError(f"The online store {self._path} cannot be read ({error}).") from error

    def sample(self, view: str, most: int) -> list[bytes]:
        """Return some values of a view, at most `most`; none where nothing was written.

        Raises:
            OnlineStoreUnavailableError: the file cannot be read.
        """
        query = f"SELECT value FROM {identifier(self._table(view))} WHERE substr(key, 1, 1) <> x'23' LIMIT ?"  # no note
        try:
            return [value for (value,) in self._reading().execute(query, [most]).fetchall()]
        except (sqlite3.Error, OSError) as error:
            if "no such table" in str(error):
                return []
            raise OnlineStoreUnavailableError(f"The online store {self._path} cannot be read ({error}).") from error

    def drop(self, view: str) -> None:
        """Remove all values of a view."""
        if self._path.exists():
            table = identifier(self._table(view))

            def remove(connection: sqlite3.Connection) -> None:
                connection.execute(f"DROP TABLE IF EXISTS {table}")
                self._note(connection, view)

            self._change(remove)

    def close(self) -> None:
        """Close this thread's connection; the others close with their threads."""
        connection = getattr(self._open, "connection", None)
        if connection is not None:
            connection.close()
            self._open.connection = self._open.identity = None

    def _table(self, view: str) -> str:
        return _table_name(self._project, view)

    def _note(self, connection: sqlite3.Connection, view: str) -> None:
        """Tell this writing from every other one: by chance, so that a file put back from a copy is told too."""
        table = identifier(self._table(WRITINGS))
        connection.execute(_create(table))
        connection.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, randomblob(16))", [view.encode()])

    def _change(self, change: Callable[[sqlite3.Connection], object]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=self._busy, isolation_level=None)) as connection:
                use_write_ahead(connection, self._busy)
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("BEGIN IMMEDIATE")
                try:
                    change(connection)
                    connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        connection.rollback()
        except (sqlite3.Error, OSError) as error:
            raise OnlineStoreUnavailableError(
                f"The online store {self._path} cannot be written ({error}); nothing was stored. Expected a writable "
                "SQLite file with free space, in a writable folder."
            ) from error

    def _found(self, connection: sqlite3.Connection, wanted: Wanted) -> Fetched:
        tables = tuple([self._table(view) for view, _ in wanted])
        if 0 < sum([len(keys) for _, keys in wanted]) <= _FEW_KEYS:
            with suppress(sqlite3.OperationalError):  # a table is not there: the others are read below
                return Fetched(_select_few(connection, tables, [keys for _, keys in wanted]))
        connection.execute("BEGIN")
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            read = [_select(connection, table, keys) for table, (_, keys) in zip(tables, wanted, strict=True)]
        finally:
            connection.rollback()
        values = [rows or [None] * len(keys) for rows, (_, keys) in zip(read, wanted, strict=True)]
        return Fetched(values, lacking=frozenset(v for rows, (v, _) in zip(read, wanted, strict=True) if rows is None))

    def _reading(self) -> sqlite3.Connection:
        status = os.stat(self._address)  # noqa: PTH116  a third of a read's overhead is saved by not building a Path
        identity = (os.getpid(), status.st_dev, status.st_ino)
        if getattr(self._open, "identity", None) != identity:
            self._open.connection = _read_only(self._path)
            self._open.identity = identity
        connection: sqlite3.Connection = self._open.connection
        return connection


def sqlite_reader(path: str | Path, project: str) -> PackedReader:
    """Return a columnar reader of the file that `PackedSqliteOnlineStore` writes for a Feast project."""
    return PackedReader(PackedSqliteFile(path, project))


@lru_cache(1024)
def _table_name(project: str, view: str) -> str:
    return f"packed:{_lower(quoted(project))}:{_lower(quoted(view))}"


def _lower(name: str) -> str:
    """Return a name without capitals, for SQLite takes `Shop` and `shop` for one table: each is `$` and its letter."""
    return "".join(f"${letter.lower()}" if letter.isupper() else letter for letter in name)


def _create(table: str) -> str:
    return f"CREATE TABLE IF NOT EXISTS {table} (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"


def _read_only(path: Path) -> sqlite3.Connection:
    address = f"file:{quote(str(path))}?mode=ro"
    wal = path.with_name(path.name + "-wal")
    if not wal.exists() and not os.access(path.parent, os.W_OK):
        address += "&immutable=1"  # nobody can write beside it, and a journal's index cannot be made here
    return sqlite3.connect(address, uri=True, timeout=_READ_WAIT_SECONDS, isolation_level=None, check_same_thread=False)


def _select_few(
    connection: sqlite3.Connection, tables: tuple[str, ...], keys: Sequence[Sequence[bytes]]
) -> list[list[bytes | None]]:
    """Read a few keys of several tables by one statement, which is its own snapshot."""
    counts = [len(part) for part in keys]
    statement = _one_row(tables, tuple(counts))
    found: Iterator[bytes | None] = iter(connection.execute(statement, [*chain.from_iterable(keys)]).fetchone())
    return [list(islice(found, count)) for count in counts]


@lru_cache(1024)
def _one_row(tables: tuple[str, ...], counts: tuple[int, ...]) -> str:
    """Return a statement with a column for each key: a row of hits would cost SQLite twice as much."""
    each = (
        f"(SELECT value FROM {identifier(table)} WHERE key = ?)"
        for table, count in zip(tables, counts, strict=True)
        for _ in range(count)
    )
    return f"SELECT {', '.join(each)}"


def _nothing(wanted: Wanted, why: str) -> Fetched:
    return Fetched([[None] * len(keys) for _, keys in wanted], why)


def _select(connection: sqlite3.Connection, table: str, keys: Sequence[bytes]) -> list[bytes | None] | None:
    """Read keys of one table; None where there is no such table."""
    found: dict[bytes, bytes] = {}
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        part = keys[start : start + _KEYS_AT_ONCE]
        marks = ("?," * len(part))[:-1]
        query = f"SELECT key, value FROM {identifier(table)} WHERE key IN ({marks})"
        try:
            found.update(connection.execute(query, part).fetchall())
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return None
            raise
    return [found.get(key) for key in keys]
