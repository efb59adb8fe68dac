"""Several threads, one transaction: a commit waits for the disk, and whoever comes meanwhile shares the next one."""

import threading
from collections.abc import Sequence
from typing import Any

from feature_repo.streaming.outbox import Outbox, Receipt
from feature_repo.streaming.validation import Event, Refusal

__all__ = ["GroupCommit"]

Judged = Sequence[tuple[Event | Refusal, Any]]


class GroupCommit:
    """Appends to an outbox for any number of threads; alone, a caller waits for nobody."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._queue: list[_Waiting] = []
        self._queueing, self._committing = threading.Lock(), threading.Lock()

    def append(self, judged: Judged, now_us: int) -> list[Receipt]:
        """Do as `Outbox.append`, maybe in one transaction with others.

        Raises:
            DependencyDown: the outbox cannot be written; nothing of this call was stored, nor of the others'.
        """
        mine = _Waiting(judged, now_us)
        with self._queueing:
            self._queue.append(mine)
        with self._committing:
            if not mine.done:
                with self._queueing:
                    batch, self._queue = self._queue, []
                self._commit(batch)
        if mine.error is not None:
            raise mine.error
        return mine.receipts

    def _commit(self, batch: "list[_Waiting]") -> None:
        try:
            every = [pair for waiting in batch for pair in waiting.judged]
            left = iter(self._outbox.append(every, max(waiting.now_us for waiting in batch)))
            for waiting in batch:
                waiting.receipts = [next(left) for _ in waiting.judged]
        except BaseException as error:
            for waiting in batch:
                waiting.error = error
        finally:
            for waiting in batch:
                waiting.done = True


class _Waiting:
    """A caller's events, and what became of them."""

    def __init__(self, judged: Judged, now_us: int) -> None:
        self.judged, self.now_us = judged, now_us
        self.receipts: list[Receipt] = []
        self.error: BaseException | None = None
        self.done = False
