"""Events as the service takes them: durable in the outbox, then online, so that the next score sees them.

The outbox needs SQLAlchemy, which no score needs: it is imported where an outbox is configured, and nowhere else.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from feature_repo.errors import DependencyDown, IntentError
from services.event_contracts import EventBody, EventReceipt, plain_event
from services.online_url import VARIABLE, RedisUrl, SqliteUrl, read_online_url
from services.outbox_watch import OutboxWatch

if TYPE_CHECKING:
    from feature_repo.streaming.outbox import Receipt
    from feature_repo.streaming.stream import EventStream
    from intent_stores.packed_reader import PackedStore

__all__ = ["OUTBOX_VARIABLE", "EventIntake", "open_intake"]

OUTBOX_VARIABLE = "INTENT_OUTBOX_URL"
_AWAY = (
    f"{OUTBOX_VARIABLE} names an outbox that does not answer or cannot be written; expected one that does. Until then "
    "/events answers 503, and scores do not wait for it. What the database said is in the log."
)
_FOLLOW_SECONDS = 1.0  # own events are brought online as they come; this is for the others
_log = logging.getLogger(__name__)
_PATIENCE_SECONDS = 2.0  # a score must be answered at once; whoever brings events online can wait


def open_intake(environment: Mapping[str, str]) -> "EventIntake | None":
    """Return what takes events, over the outbox of `INTENT_OUTBOX_URL` and the store of `INTENT_ONLINE_URL`, or None.

    Nothing is opened before it is started.

    Raises:
        SettingsError: the outbox's address is none.
        DependencyDown: the online store's address is none.
    """
    address = environment.get(OUTBOX_VARIABLE)
    if not address:
        return None
    from feature_repo.streaming.outbox import Outbox
    from feature_repo.streaming.stream import EventStream

    outbox, store = Outbox(address), _store(read_online_url(environment.get(VARIABLE)))
    return EventIntake(EventStream(outbox, store), OutboxWatch(outbox))


class EventIntake:
    """Takes events and brings them online; may be called from several threads."""

    def __init__(self, stream: "EventStream", watch: OutboxWatch) -> None:
        self._stream, self._watch = stream, watch
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="event-intake", daemon=True)

    def start(self) -> None:
        """Bring online, in a thread of its own, what others push and what was left when a store was away."""
        self._thread.start()
        self._watch.start()

    def trouble(self) -> str | None:
        """Return why events cannot be taken just now, as far as is known, or None; returns at once."""
        return _AWAY if self._watch.is_away() else None

    def take(self, events: Sequence[EventBody]) -> tuple[list[EventReceipt], bool]:
        """Return what became of each event, and whether the online store has them by now.

        Raises:
            DependencyDown: the outbox cannot be written; nothing was acknowledged.
        """
        try:
            receipts = self._stream.push([plain_event(event) for event in events])
        except DependencyDown:
            self._watch.failed()
            raise
        pairs = zip(events, receipts, strict=True)
        return [_receipt(event.event_id, receipt) for event, receipt in pairs], self._is_online(receipts)

    def close(self) -> None:
        """End the threads; what is not online yet follows at the next start."""
        self._watch.close()
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _follow(self) -> None:
        told = ""
        while not self._stop.wait(_FOLLOW_SECONDS):
            try:
                self._stream.catch_up()
                told = ""
            except IntentError as error:
                if str(error) != told:  # once, however long it lasts
                    _log.warning("Events are acknowledged but not online yet: %s", error)
                told = str(error)

    def _is_online(self, receipts: "Sequence[Receipt]") -> bool:
        last = max((receipt.seq for receipt in receipts if receipt.seq is not None), default=0)
        try:
            self._stream.catch_up()
            position = self._stream.position()
        except IntentError:  # acknowledged all the same: the thread goes on trying
            return False
        return position is not None and position >= last


def _receipt(event_id: str, receipt: "Receipt") -> EventReceipt:
    if receipt.refusal is not None:
        return EventReceipt(event_id=event_id, status="quarantined", seq=None, reason=receipt.refusal.reason)
    return EventReceipt(event_id=event_id, status="accepted" if receipt.is_new else "repeated", seq=receipt.seq)


def _store(address: SqliteUrl | RedisUrl) -> "PackedStore":
    if isinstance(address, SqliteUrl):
        from intent_stores.packed_sqlite import PackedSqliteFile

        return PackedSqliteFile(address.path, address.project)
    from intent_stores.errors import ConfigurationError
    from intent_stores.packed_redis import PackedRedisServer

    try:
        return PackedRedisServer(address.address, address.project, _PATIENCE_SECONDS)
    except ConfigurationError:  # its text may repeat the address, and so a password
        raise DependencyDown(f"{VARIABLE} cannot be used: {address} is none that Redis understands.") from None
