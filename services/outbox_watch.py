"""Whether events could be taken just now: the outbox is asked beside all requests, so that who asks us need not wait.

A database that is frozen is noticed while its answer is still being waited for.
"""

import logging
import threading
import time
from typing import TYPE_CHECKING

from feature_repo.errors import IntentError

if TYPE_CHECKING:
    from feature_repo.streaming.outbox import Outbox

__all__ = ["OutboxWatch"]

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0


class OutboxWatch:
    """What is known of an outbox; may be used from several threads."""

    def __init__(self, outbox: "Outbox") -> None:
        self._outbox = outbox
        self._is_away, self._told = False, ""
        self._asked: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="outbox-watch", daemon=True)

    def start(self) -> None:
        """Begin to ask, once a second."""
        self._thread.start()

    def failed(self) -> None:
        """Learn that events could not be kept."""
        self._is_away = True

    def is_away(self) -> bool:
        """Say whether it cannot be used, as far as is known; returns at once."""
        asked = self._asked
        return self._is_away or (asked is not None and time.monotonic() - asked > _PATIENCE_SECONDS)

    def close(self) -> None:
        """Stop to ask; an answer that does not come is not waited for."""
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._asked = time.monotonic()
            self._look()
            self._asked = None
            self._stop.wait(_LOOK_SECONDS)

    def _look(self) -> None:
        try:
            if self._is_away:  # what could not be written is well again when it can be
                self._outbox.append([])
                self._is_away, self._told = False, ""
            else:
                self._outbox.head()
        except IntentError as error:
            self._is_away = True
            if str(error) != self._told:  # once, however long it lasts
                _log.warning("Events cannot be taken: %s", error)
            self._told = str(error)
