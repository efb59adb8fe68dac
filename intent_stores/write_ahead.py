"""SQLite's write-ahead mode for whoever opens a file: SQLite does not wait itself for another who makes it just now."""

import sqlite3
import time
from typing import Any

__all__ = ["use_write_ahead"]

_AGAIN_SECONDS = 0.005


def use_write_ahead(connection: Any, seconds: float) -> None:
    """Put the file of a connection (the driver's own) into write-ahead mode.

    Raises:
        OperationalError: the file was locked for `seconds`, or cannot be written.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(_AGAIN_SECONDS)
