"""A Feast online store in one SQLite file: the embedded default.

    online_store:
        type: intent_stores.online_packed_sqlite.PackedSqliteOnlineStore
        path: online.db

Feast requires the store and its configuration in one module. What only reads needs `intent_stores.packed_sqlite` alone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from feast.repo_config import FeastConfigBaseModel, RepoConfig
from pydantic import PositiveFloat, StrictStr

from intent_stores.packed_feast import packed_view
from intent_stores.packed_online_store import PackedOnlineStore
from intent_stores.packed_sqlite import PackedSqliteFile


class PackedSqliteOnlineStoreConfig(FeastConfigBaseModel):
    """Settings under `online_store:` in `feature_store.yaml`; all but `type` may be left out."""

    type: Literal["intent_stores.online_packed_sqlite.PackedSqliteOnlineStore"] = (
        "intent_stores.online_packed_sqlite.PackedSqliteOnlineStore"
    )

    path: StrictStr = "data/online.db"
    """The file; a relative path starts at the folder of `feature_store.yaml`."""

    busy_timeout_seconds: PositiveFloat = 10.0
    """How long a writer waits for another one. Readers never wait."""


class PackedSqliteOnlineStore(PackedOnlineStore):
    """Packed rows in SQLite. Any number of processes may read and write; writers take turns."""

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[Any],
        tables_to_keep: Sequence[Any],
        entities_to_delete: Sequence[Any],
        entities_to_keep: Sequence[Any],
        partial: bool,
    ) -> None:
        """Remove the rows of deleted views, and make the file with empty tables for the others."""
        super().update(config, tables_to_delete, tables_to_keep, entities_to_delete, entities_to_keep, partial)
        store = self._make_store(config)
        for table in tables_to_keep:
            store.create(packed_view(table, config).name)

    def _make_store(self, config: RepoConfig) -> PackedSqliteFile:
        settings = config.online_store
        path = Path(settings.path) if config.repo_path is None else Path(config.repo_path) / settings.path
        return PackedSqliteFile(path, config.project, settings.busy_timeout_seconds)
