"""What became of answers, as lines of JSON beside the served log: on the disk before it is acknowledged.

    {"request": "…", "user_id": null, "item_id": null, "bought": true, "at": 983664000000000, "received": …}

Times are int64 microseconds since 1970; a customer stands under the pseudonym of the served log. One file a process,
`feedback-*.jsonl`, which only its owner may read.
`intent feedback` joins it to what was served.
"""

import json
import os
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from feature_repo.errors import DependencyDown
from services.event_contracts import Outcome
from services.hashed_ids import IdHasher, required_id_hasher
from services.request_reading import microseconds
from services.served_log import FOLDER_VARIABLE

__all__ = ["FeedbackLog", "open_feedback_log"]


def open_feedback_log(environment: Mapping[str, str]) -> "FeedbackLog | None":
    """Return the log in the served log's folder, `INTENT_SERVED_LOG`, or None: without it there is nothing to join.

    Raises:
        SettingsError: there is no key of the pseudonyms.
    """
    folder = environment.get(FOLDER_VARIABLE)
    return FeedbackLog(Path(folder), required_id_hasher(environment, FOLDER_VARIABLE)) if folder else None


class FeedbackLog:
    """Appends outcomes to a file in a folder; may be called from several threads. The first outcome makes the file.

    `ids` makes the pseudonyms, as in the served log; None: ids stay as they are, for customers that are made up.
    """

    def __init__(self, folder: Path, ids: IdHasher | None = None) -> None:
        self._folder = folder
        self._ids = ids
        self._lock = threading.Lock()
        self._file: int | None = None

    def append(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes, all or none, and return when they are on the disk.

        Raises:
            DependencyDown: they could not be written; the file is as it was.
        """
        received = time.time_ns() // 1000
        data = b"".join(_line(outcome, received, self._ids) for outcome in outcomes)
        with self._lock:
            try:
                if self._file is None:
                    self._file = _new_file(self._folder)
                _write(self._file, data)
            except OSError as error:
                raise DependencyDown(
                    f"Feedback cannot be written to {self._folder} ({error.strerror}); nothing was stored. Expected a "
                    "folder that can be written, with free space; send the same outcomes again."
                ) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None


def _new_file(folder: Path) -> int:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"feedback-{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
    return os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)


def _write(file: int, data: bytes) -> None:
    before = os.fstat(file).st_size
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]
        os.fdatasync(file)
    except OSError:
        os.ftruncate(file, before)
        raise


def _line(outcome: Outcome, received: int, ids: IdHasher | None) -> bytes:
    user_id = outcome.user_id
    record = {
        "request": outcome.request_id,
        "user_id": user_id if user_id is None or ids is None else ids.pseudonym(user_id),
        "item_id": outcome.item_id,
        "bought": outcome.bought,
        "at": None if outcome.at is None else microseconds(outcome.at),
        "received": received,
    }
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"
