"""A shop's stream of events: pushed, acknowledged, brought online, in order and once."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

from feature_repo.errors import IntentError
from feature_repo.streaming.group_commit import GroupCommit
from feature_repo.streaming.online import OnlineViews, require_same_stream
from feature_repo.streaming.outbox import Outbox, Receipt
from feature_repo.streaming.validation import judge
from intent_stores.packed_reader import PackedStore

__all__ = ["BATCH", "TOLERANCE_SECONDS", "EventStream"]

TOLERANCE_SECONDS = 60.0
"""How far ahead of ours another clock may be; an event beyond it goes to quarantine."""

BATCH = 500
"""Events applied at a time."""

_POLL_SECONDS = 0.05
_PAUSE_SECONDS = 1.0  # after the store or the outbox did not answer
_log = logging.getLogger(__name__)


class EventStream:
    """Takes events and keeps the online views at the head of the outbox. May be used from several threads.

    Any number of processes may push, and any number apply. As a context manager it applies in a thread of its own, also
    what others push; otherwise call `catch_up`, or run `intent events consume` somewhere.

    Arguments:
        outbox: where an event is kept before it is acknowledged.
        online: the packed online store, or None for a process that only pushes.
        tolerance_seconds: how far ahead of ours another clock may be.
        clock: the present moment, in microseconds since 1970.
    """

    def __init__(
        self,
        outbox: Outbox,
        online: PackedStore | None = None,
        tolerance_seconds: float = TOLERANCE_SECONDS,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._outbox, self._commits = outbox, GroupCommit(outbox)
        self._views = None if online is None else OnlineViews(online)
        self._tolerance_us = round(tolerance_seconds * 1e6)
        self._clock = clock
        self._news, self._stopping = threading.Event(), False
        self._thread: threading.Thread | None = None

    def push(self, events: Mapping[str, Any] | Iterable[Any]) -> list[Receipt]:
        """Take one event or several in one transaction; when it returns, they are acknowledged: they survive any crash.

        Threads that push at the same time share a transaction, for a commit takes as long as the disk takes.

        Arguments:
            events: a mapping, or several, with the names of `feature_repo.events.EVENT_SCHEMA`; see `validation.judge`.
                Whatever cannot be taken goes to the quarantine, and does not hold up the others.

        Returns:
            What became of each, in their order.

        Raises:
            DependencyDown: the outbox cannot be written; nothing of this call is acknowledged. Push it again.
        """
        now_us, events = self._clock(), [events] if isinstance(events, Mapping) else events
        receipts = self._commits.append([(judge(one, now_us, self._tolerance_us), one) for one in events], now_us)
        self._news.set()
        return receipts

    def catch_up(self, most: int | None = None) -> int:
        """Apply what the outbox holds beyond the online store's position, in order, and return how many events.

        Arguments:
            most: stop after about so many; None goes on to the head.

        Returns:
            0 also where the store was never materialised: its counters could not be right.

        Raises:
            DependencyDown: a database does not answer; what was applied stays, the rest follows at the next call.
            DifferenceFound: the outbox is another one than the store was filled from.
        """
        done = 0
        while self._views is not None and (most is None or done < most):
            reached = self._views.reached()
            if reached is None:
                break
            events = self._outbox.after(reached.seq - 1, BATCH + 1)
            if reached.seq:
                require_same_stream(reached, events[0] if events else None)
                events = events[1:]
            if not events:
                break
            self._views.apply(events, self._outbox)
            self._views.advance(reached, events[-1])
            done += len(events)
        return done

    def position(self) -> int | None:
        """Return the number of the last event that is online; None without a store, or before it was materialised."""
        return None if self._views is None else self._views.position()

    def __enter__(self) -> "EventStream":
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="event-stream", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        self._news.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            self._news.wait(_POLL_SECONDS)
            self._news.clear()
            try:
                self.catch_up()
            except IntentError as error:
                _log.warning("Events are acknowledged but not online yet: %s", error)
                self._news.wait(_PAUSE_SECONDS)
