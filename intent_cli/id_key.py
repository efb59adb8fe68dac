"""The key under which the customers of a run are logged: the one that is configured, or one of the run's own."""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from services.hashed_ids import KEY_FILE_VARIABLE, KEY_VARIABLE, id_hasher
from services.served_log import FOLDER_VARIABLE

if TYPE_CHECKING:
    from training.consistency.pseudonyms import KnownCustomers

__all__ = ["id_key", "known_customers"]


def id_key(out: Path, *, logs: bool = False) -> Path | None:
    """Return the key file of the run in `out`, made if there is none, for a service that logs what it serves.

    None where a key is configured, or nothing is logged: neither by this process's environment nor by `logs`.
    """
    configured = os.environ.get(KEY_VARIABLE) or os.environ.get(KEY_FILE_VARIABLE)
    if configured or not (logs or os.environ.get(FOLDER_VARIABLE)):
        return None
    file = _file(out)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as target:
            target.write(secrets.token_hex(32) + "\n")
    return file


def known_customers(out: Path) -> "KnownCustomers":
    """Return all customers of the run in `out`, under the configured key or the run's own."""
    from training.consistency.pseudonyms import KnownCustomers

    configured = {name: os.environ.get(name, "") for name in (KEY_VARIABLE, KEY_FILE_VARIABLE)}
    if not any(configured.values()) and _file(out).exists():
        configured[KEY_FILE_VARIABLE] = str(_file(out))
    hasher = id_hasher(configured)
    return KnownCustomers(None if hasher is None else hasher.pseudonym, lambda: _customers(out))


def _customers(out: Path) -> Iterable[str]:
    from training.dataset.anchors import open_log

    with open_log(out) as connection:
        return [user_id for (user_id,) in connection.execute("SELECT DISTINCT user_id FROM events").fetchall()]


def _file(out: Path) -> Path:
    return (out / "id.key").resolve()
