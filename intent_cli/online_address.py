"""The address of a run's online store, as the service takes it: a file of the run, or the profile's Redis."""

import os
from pathlib import Path
from urllib.parse import quote

from intent_stores.packed_reader import PackedStore
from intent_stores.packed_sqlite import PackedSqliteFile
from services.online_url import VARIABLE, RedisUrl, SqliteUrl, read_online_url
from training.pipelines.profiles import store_settings

__all__ = ["packed_store", "profile_address", "serving_address"]

_PATIENCE_SECONDS = 2.0  # a request must be answered at once; whoever brings events online can wait


def serving_address(out: Path) -> SqliteUrl | RedisUrl:
    """Return what `INTENT_ONLINE_URL` names if it is set, else the store that `intent materialize` writes.

    Raises:
        DependencyDown: it is set, but no address of an online store.
        SettingsError: the profile cannot be used.
    """
    elsewhere = os.environ.get(VARIABLE)
    return read_online_url(elsewhere) if elsewhere else profile_address(out)


def profile_address(out: Path, online: Path | None = None, project: str | None = None) -> SqliteUrl | RedisUrl:
    """Return the address of the online store that `training.pipelines.feature_store.materialise` writes.

    Raises:
        SettingsError: the profile cannot be used.
    """
    settings = store_settings(out, online, project)
    store, name = settings["online_store"], settings["project"]
    if "path" in store:
        return SqliteUrl(Path(store["path"]), name)
    separator = "&" if "?" in store["url"] else "?"
    return read_online_url(f"{store['url']}{separator}project={quote(name)}")


def packed_store(address: SqliteUrl | RedisUrl) -> PackedStore:
    """Return the store at an address, for writers. Nothing is opened before the first call."""
    if isinstance(address, SqliteUrl):
        return PackedSqliteFile(address.path, address.project)
    from intent_stores.packed_redis import PackedRedisServer  # its client takes a while to import

    return PackedRedisServer(address.address, address.project, _PATIENCE_SECONDS)
