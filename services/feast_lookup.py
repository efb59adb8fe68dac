"""What is known of a customer, read from Feast's SQLite online store through Feast's own `online_read`.

The views are rebuilt from the bundle's features.json, so neither a registry nor `feature_store.yaml` is needed. The
database is opened read-only: a wrong path makes no empty store, it makes the service say that it is not ready.

Feast keeps a row's event time in whole seconds, and in local time where TZ is not UTC: `intent materialize` and the
service run under the same TZ.
"""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from feast import Entity, FeatureView, ValueType
from feast.infra.online_stores.sqlite import SqliteOnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig

from feature_repo.errors import DependencyDown
from services.feature_lookup import NEVER, ViewRows, ViewSchema, column_of
from services.online_url import VARIABLE, OnlineUrl
from services.request_reading import microseconds

__all__ = ["FeastSqliteLookup"]

_KEYS_AT_ONCE = 500  # SQLite takes a limited number of parameters in one statement
_WAIT_SECONDS = 1.0  # for a writer that holds the database
_MATERIALIZE = "Run `intent materialize` and start the service with the address that it prints."


class FeastSqliteLookup:
    """A lookup (see `services.feature_lookup.FeatureLookup`) over Feast's SQLite online store."""

    def __init__(self, url: OnlineUrl, schemas: Sequence[ViewSchema]) -> None:
        """Prepare the lookup; nothing is opened before the first read."""
        self._schemas = {schema.name: schema for schema in schemas}
        self._path = url.path
        self._store = _ReadOnlyStore(url.path)
        self._config = RepoConfig(
            project=url.project,
            provider="local",
            registry="not-read.db",
            online_store={"type": "sqlite", "path": str(url.path)},
            entity_key_serialization_version=3,
        )
        user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
        self._views = {name: FeatureView(name=name, entities=[user], source=None) for name in self._schemas}

    def lookup(self, user_ids: Sequence[str]) -> Mapping[str, ViewRows]:
        """Return the rows of every view, one per id.

        Raises:
            DependencyDown: the database cannot be read.
        """
        keys = [EntityKey(join_keys=["user_id"], entity_values=[Value(string_val=item)]) for item in user_ids]
        try:
            return {name: self._rows(name, keys) for name in self._schemas}
        except (sqlite3.Error, OSError) as error:
            raise DependencyDown(self._cannot_read(error)) from error

    def trouble(self) -> str | None:
        """Return why the database cannot be read just now, or None if it holds all views."""
        if not self._path.is_file():
            return f"{VARIABLE} names no file: expected Feast's online database at {self._path}. {_MATERIALIZE}"
        try:
            tables = self._store.tables()
        except (sqlite3.Error, OSError) as error:
            return self._cannot_read(error)
        missing = sorted(n for n in self._schemas if f"{self._config.project}_{n}" not in tables)
        if missing:
            return (
                f"The online database {self._path} holds no table of project {self._config.project!r} for the views "
                f"{missing}; expected all views of the model. {_MATERIALIZE}"
            )
        return None

    def _cannot_read(self, error: Exception) -> str:
        return f"The online database {self._path} cannot be read ({error}); expected Feast's SQLite. {_MATERIALIZE}"

    def _rows(self, name: str, keys: list[Any]) -> ViewRows:
        found: list[tuple[datetime | None, Mapping[str, Any] | None]] = []
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            part = keys[start : start + _KEYS_AT_ONCE]
            found += self._store.online_read(self._config, self._views[name], part)
        columns = {
            field: column_of([None if row is None else _plain(row.get(field)) for _, row in found], kind)
            for field, kind in self._schemas[name].fields.items()
        }
        event_us = [NEVER if moment is None else microseconds(moment) for moment, _ in found]
        return ViewRows(columns, np.array(event_us, np.int64))


class _ReadOnlyStore(SqliteOnlineStore):
    """Feast's store with one read-only connection a thread, opened again when the file was replaced."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path
        self._open = threading.local()

    def _get_conn(self, config: Any) -> sqlite3.Connection:
        status = self._file.stat()
        identity = (status.st_dev, status.st_ino)
        if getattr(self._open, "identity", None) != identity:
            # The flags of Feast's own connection, by which it reads `event_ts` back as a time.
            self._open.connection = sqlite3.connect(
                f"file:{quote(str(self._file))}?mode=ro",
                uri=True,
                detect_types=sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES,
                timeout=_WAIT_SECONDS,
            )
            self._open.identity = identity
        connection: sqlite3.Connection = self._open.connection
        return connection

    def tables(self) -> set[str]:
        """Return the names of all tables."""
        rows = self._get_conn(None).execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in rows}


def _plain(value: Any) -> Any:
    """Return a Feast value as a number, a text, a sequence of them, or None where nothing is set."""
    kind = value.WhichOneof("val") if value is not None else None
    if kind is None or kind == "null_val":
        return None
    inner = getattr(value, kind)
    return inner.val if kind.endswith("_list_val") else inner
