"""A challenger in the champion's shadow: it scores what the champion answered, and both probabilities are logged.

Off the request's path: a request leaves what it was answered with in a bounded queue, and one thread scores it again.
When the thread does not keep up, batches are left out and counted. The log holds request ids and no customer's id:

    {"request": "…", "t": 983404800000000, "champion": "purchase_intent:…", "probability": 0.17,
     "challenger": "purchase_intent:…", "challenger_probability": 0.19}

`t` is in microseconds since 1970 UTC. Where items are asked about (`item_shadow.py`) a line names its `item_id`, too;
of a batch of customers the lines are in the order of the request. The served log of the same requests says who they
were.
"""

import json
import os
import queue
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from services.feature_lookup import FeatureLookup
from services.metrics import Metrics
from services.scoring import Scorer
from services.served_lines import ServedBatch

__all__ = ["Shadow", "ShadowLog"]

_WAITING = 256
_PART_BYTES = 64 << 20


class ShadowLog:
    """Lines of JSON in files of 64 MB, in a folder that only its owner may read; may be called from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._file: IO[str] | None = None

    def write(self, lines: list[dict[str, Any]]) -> None:
        """Append lines.

        Raises:
            OSError: they cannot be written.
        """
        with self._lock:
            if self._file is None or self._file.tell() >= _PART_BYTES:
                self._open()
            assert self._file is not None  # noqa: S101  for the type checker
            self._file.writelines([json.dumps(line) + "\n" for line in lines])
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> None:
        self._end()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"shadow-{socket.gethostname()}-{os.getpid()}-{time.time_ns()}.jsonl"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._file = os.fdopen(handle, "w", encoding="utf-8")


class Shadow:
    """Scores batches of answers by a challenger, on a thread of its own; an `AnswerSink`."""

    def __init__(
        self, tag: str, scorer: Scorer, lookup: FeatureLookup, views: list[str], log: ShadowLog, metrics: Metrics
    ) -> None:
        """Prepare; the thread starts with the first batch.

        Args:
            tag: the challenger's.
            scorer: the challenger's.
            lookup: reads the challenger's views where a batch lacks one of them.
            views: names of the challenger's views.
            log: what both gave.
            metrics: how far apart they were.
        """
        self._tag, self._scorer, self._lookup, self._views, self._log = tag, scorer, lookup, views, log
        self._metrics, self._label = metrics, tag
        self._queue: queue.Queue[ServedBatch | None] = queue.Queue(_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def offer(self, batch: ServedBatch) -> None:
        """Take a batch to score; returns at once and raises nothing."""
        if self._closed:
            return
        try:
            self._queue.put_nowait(batch)
        except queue.Full:
            self._metrics.shadow_left_out()
            return
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._score_on, name="shadow", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        """Score what waits, for at most a few seconds, and end the thread."""
        self._closed = True
        with suppress(queue.Full):
            self._queue.put(None, timeout=2)
        if self._thread is not None:
            self._thread.join(5)

    def _score_on(self) -> None:
        while (batch := self._queue.get()) is not None:
            try:
                probability = self._probability(batch)
                if batch.probability is not None:
                    self._metrics.shadow(self._label, batch.probability, probability)
                self._log.write(self._lines(batch, probability))
            except Exception:  # whatever a challenger does, it must not end the thread, nor reach a request
                self._metrics.shadow_left_out()

    def _probability(self, batch: ServedBatch) -> NDArray[np.float64]:
        columns = self._columns(batch)
        given = {field: column for name in self._views for field, column in columns[name].items()}
        moments = np.full(len(next(iter(batch.keys.values()))), batch.at_us, np.int64)
        return self._scorer.score(given, moments).probability

    def _columns(self, batch: ServedBatch) -> Mapping[str, Mapping[str, Any]]:
        """Return the fields of all the challenger's views, looked up anew where the champion does not read them all."""
        if set(self._views) <= set(batch.columns):
            return batch.columns
        return {name: rows.columns for name, rows in self._lookup.lookup(batch.keys, batch.at_us).items()}

    def _lines(self, batch: ServedBatch, probability: NDArray[np.float64]) -> list[dict[str, Any]]:
        said = [None] * len(probability) if batch.probability is None else np.asarray(batch.probability).tolist()
        items = batch.keys.get("item_id")
        return [
            {
                "request": batch.request_id,
                **({} if items is None else {"item_id": items[row]}),
                "t": int(batch.at_us),
                "champion": batch.model,
                "probability": champions,
                "challenger": self._tag,
                "challenger_probability": challengers,
            }
            for row, (champions, challengers) in enumerate(zip(said, probability.tolist(), strict=True))
        ]
