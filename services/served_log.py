"""The log of what was served: sampled by customer and item, written off the request path, never in an answer's way.

It is off unless `INTENT_SERVED_LOG` names a folder, and only its owner may read it (0700 and 0600). Customers stand in
it under pseudonyms: whoever has the key and the shop's own ids finds them again, to replay it.
"""

import gzip
import hashlib
import os
import queue
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feature_repo.errors import SettingsError
from services.hashed_ids import IdHasher, required_id_hasher
from services.served_lines import ServedBatch, answer_line, dropped_line, header_line

__all__ = ["FOLDER_VARIABLE", "SAMPLE_VARIABLE", "ServedLog", "open_served_log"]

FOLDER_VARIABLE = "INTENT_SERVED_LOG"
SAMPLE_VARIABLE = "INTENT_SERVED_SAMPLE"
_DEFAULT_SAMPLE = 0.1
_LINES_AT_ONCE = 256
_WAIT_SECONDS = 1.0
_Views = Mapping[str, Mapping[str, Any]]
_Row = tuple[ServedBatch, int]


def open_served_log(environment: Mapping[str, str], service: str, views: _Views) -> "ServedLog | None":
    """Return the log that the environment asks for, or None.

    Args:
        environment: `INTENT_SERVED_LOG` is the folder, absolute, for a server changes its working folder;
            `INTENT_SERVED_SAMPLE` the share of the customers, 0.1 unless given; the key of the pseudonyms is needed.
        service: name of the feature service.
        views: view → its `join_keys` and `fields` (name → type), as in a bundle's features.json.

    Raises:
        SettingsError: the folder is relative or cannot be written, the share is not a number above 0 and up to 1, or
            there is no key.
    """
    folder = environment.get(FOLDER_VARIABLE)
    if not folder:
        return None
    if not Path(folder).is_absolute():
        raise SettingsError(f"{FOLDER_VARIABLE} is {folder!r}; expected the absolute path of a folder.")
    given = environment.get(SAMPLE_VARIABLE, str(_DEFAULT_SAMPLE))
    try:
        sample = float(given)
    except ValueError:
        sample = 0.0
    if not 0.0 < sample <= 1.0:
        raise SettingsError(f"{SAMPLE_VARIABLE} is {given!r}; expected a share above 0 and up to 1, such as 0.1.")
    return ServedLog(Path(folder), service, views, sample, ids=required_id_hasher(environment, FOLDER_VARIABLE))


class ServedLog:
    """Writes batches of answers to parts in a folder; may be called from several threads.

    A part is a row of gzip members, each a second or 256 rows, synced to the disk: what a kill cuts off is the last
    member, which the reader leaves out. When the disk does not keep up, or is full, rows are dropped and counted.
    """

    def __init__(
        self,
        folder: Path,
        service: str,
        views: _Views,
        sample: float = 1.0,
        *,
        waiting: int = 1000,
        part_bytes: int = 64 << 20,
        part_seconds: float = 3600.0,
        ids: IdHasher | None = None,
    ) -> None:
        """Make the folder; the first row makes the first part.

        Args:
            sample: share of the keys whose answers are logged, all of them or none.
            waiting: the most rows that wait to be written.
            part_bytes: from this size on a new part is begun; so it is after `part_seconds`.
            ids: makes the pseudonyms; None: ids stay as they are, for customers that are made up.

        Raises:
            SettingsError: the folder cannot be made or written.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"The served log's folder {folder} cannot be made: {error.strerror}.") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SettingsError(f"The served log's folder {folder} cannot be written; expected a writable folder.")
        self._folder, self._views, self._sample = folder, views, sample
        self._header, self._ids = header_line(service, views, ids), ids
        self._limits = (part_bytes, part_seconds)
        self._queue: queue.Queue[_Row | threading.Event] = queue.Queue(waiting)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._part: _Part | None = None
        self._dropped = self._told = 0
        self._closed = False

    @property
    def dropped(self) -> int:
        """How many rows of the sample could not be logged."""
        return self._dropped

    def offer(self, batch: ServedBatch) -> None:
        """Take what the sample wants of a batch; returns at once and raises nothing."""
        rows = rows_in_sample(batch.keys, self._sample)
        if self._closed:
            self._drop(len(rows))
            return
        for row in rows:
            try:
                self._queue.put_nowait((batch, row))
            except queue.Full:
                self._drop(1)
        self._begin()

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until what was offered so far is on the disk; False if it took longer than `timeout` seconds."""
        written = threading.Event()
        try:
            self._queue.put(written, timeout=timeout)
        except queue.Full:
            return False
        self._begin()
        return written.wait(timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits and end the thread; what is offered later is dropped."""
        self._closed = True
        self.flush(timeout)
        if self._thread is not None:
            self._thread.join(timeout)

    def _begin(self) -> None:
        if self._thread is None:  # not in __init__: a server may fork in between
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._write_on, name="served-log", daemon=True)
                    self._thread.start()

    def _drop(self, count: int) -> None:
        with self._lock:
            self._dropped += count

    def _write_on(self) -> None:
        while True:
            rows, waiter = self._next_rows()
            if rows:
                self._write(rows)
            if waiter is not None:
                waiter.set()
                if self._closed and self._queue.empty():
                    self._end_part()
                    return

    def _next_rows(self) -> tuple[list[_Row], threading.Event | None]:
        rows: list[_Row] = []
        deadline = None
        while len(rows) < _LINES_AT_ONCE:
            try:
                item = self._queue.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if isinstance(item, threading.Event):
                return rows, item
            rows.append(item)
            deadline = deadline or time.monotonic() + _WAIT_SECONDS
        return rows, None

    def _write(self, rows: Sequence[_Row]) -> None:
        lines = []
        for batch, row in rows:
            try:
                lines.append(answer_line(batch, row, self._views, self._ids))
            except Exception:  # whatever a row holds, it must not end the thread that all others wait for
                self._drop(1)
        encoded, dropped = len(lines), self._dropped
        if dropped > self._told:
            lines.append(dropped_line(dropped - self._told))
        try:
            self._part_to_write().append(lines)
            self._told = dropped
        except OSError:
            self._drop(encoded)
            self._end_part()

    def _part_to_write(self) -> "_Part":
        if self._part is not None and self._part.is_full(*self._limits):
            self._end_part()
        if self._part is None:
            self._part = _Part(self._folder, self._header)
        return self._part

    def _end_part(self) -> None:
        if self._part is not None:
            self._part.close()
            self._part = None


class _Part:
    """One file of the log, to which whole gzip members are appended."""

    def __init__(self, folder: Path, header: bytes) -> None:
        name = f"served-{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}-{secrets.token_hex(4)}.jsonl.gz"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file = os.open(folder / name, flags, 0o600)
        self._begun, self._size = time.monotonic(), 0
        self._header: list[bytes] = [header]

    def append(self, lines: Sequence[bytes]) -> None:
        """Append lines as one member, and sync them; after an error the file ends where it ended before.

        Raises:
            OSError: they could not be written.
        """
        member = gzip.compress(b"".join([*self._header, *lines]), compresslevel=1, mtime=0)
        try:
            left = memoryview(member)
            while left:
                left = left[os.write(self._file, left) :]
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(member)
        self._header = []

    def is_full(self, part_bytes: int, part_seconds: float) -> bool:
        """Whether a new part is due."""
        return self._size >= part_bytes or time.monotonic() - self._begun >= part_seconds

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def rows_in_sample(keys: Mapping[str, Sequence[str]], sample: float) -> list[int]:
    """Return which rows are in the sample, by their keys: the same ones in every process and every run.

    Args:
        keys: join key → a value for each row, or one that holds for all, as `ServedBatch` has them.
        sample: the share of the keys, above 0 and up to 1.
    """
    count = max(map(len, keys.values()), default=0)
    if sample >= 1.0:
        return [*range(count)]
    whole = [values if len(values) == count else [*values] * count for values in keys.values()]
    texts = map("\x1f".join, zip(*whole, strict=True))
    return [row for row, text in enumerate(texts) if _share(text) < sample * 2.0**64]


def _share(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8, person=b"served-log").digest(), "big")
