"""Several threads, one transaction: a commit waits for the disk, and whoever comes meanwhile shares the next one."""

import threading
from collections.abc import Sequence
from typing import Any

from feature_repo.streaming.outbox import Outbox, Receipt
from feature_repo.streaming.validation import Event, Refusal

__all__ = ["GroupCommit"]

Judged = Sequence[tuple[Event | Refusal, Any]]


class GroupCommit:
    """Appends to an outbox for any number of threads; alone, a caller waits for nobody.

    One of them commits for all who wait, then wakes the first of those who came meanwhile to do the same, and after
    that its own group: nobody is woken for nothing, and the disk is at work while receipts are handed out.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._lock = threading.Lock()
        self._queue: list[_Waiting] = []
        self._is_committing = False

    def append(self, judged: Judged, now_us: int) -> list[Receipt]:
        """Do as `Outbox.append`, maybe in one transaction with others.

        Raises:
            DependencyDown: the outbox cannot be written; nothing of this call was stored, nor of the others'.
        """
        mine = _Waiting(judged, now_us)
        with self._lock:
            self._queue.append(mine)
            must_wait, self._is_committing = self._is_committing, True
        if must_wait:
            self._wait(mine)
        if not mine.done:
            self._commit_all()
        if mine.error is not None:
            raise mine.error
        return mine.receipts

    def _wait(self, mine: "_Waiting") -> None:
        try:
            mine.turn.wait()
        except BaseException:  # an interrupted thread must not keep the others waiting
            with self._lock:
                if mine in self._queue:
                    self._queue.remove(mine)
                    if mine.turn.is_set():
                        self._hand_over()
            raise

    def _commit_all(self) -> None:
        with self._lock:
            batch, self._queue = self._queue, []
        try:
            every = [pair for waiting in batch for pair in waiting.judged]
            left = iter(self._outbox.append(every, max(waiting.now_us for waiting in batch)))
            for waiting in batch:
                waiting.receipts = [next(left) for _ in waiting.judged]
        except BaseException as error:
            for waiting in batch:
                waiting.error = error
        finally:
            with self._lock:
                self._hand_over()
            for waiting in batch:
                waiting.done = True
                waiting.turn.set()

    def _hand_over(self) -> None:
        if self._queue:
            self._queue[0].turn.set()
        else:
            self._is_committing = False


class _Waiting:
    """A caller's events, and what became of them; `turn` comes when they are stored, or when it is to commit."""

    def __init__(self, judged: Judged, now_us: int) -> None:
        self.judged, self.now_us = judged, now_us
        self.receipts: list[Receipt] = []
        self.error: BaseException | None = None
        self.turn = threading.Event()
        self.done = False
