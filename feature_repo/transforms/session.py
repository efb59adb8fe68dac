"""How deep and how fast is the session that is running at t.

A session is a customer's events without a pause of 30 minutes or more between two of them; it runs at t if the last
one is less than that ago. A session of more than N events counts from the oldest that is known.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.event_lists import EventLists

__all__ = [
    "PAUSE_US",
    "Session",
    "running_session",
    "seconds_since_event",
    "session_events",
    "session_pace_seconds",
    "session_seconds",
]

SECOND_US = 1_000_000
PAUSE_US = 30 * 60 * SECOND_US
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Session:
    """The sessions that run at t; arrays of shape (n,).

    `events` is 0 where none is running, and `first_at` and `newest_at` (int64 microseconds since 1970) are then 0.
    """

    events: NDArray[np.int64]
    first_at: NDArray[np.int64]
    newest_at: NDArray[np.int64]


def running_session(lists: EventLists, at_us: NDArray[np.int64]) -> Session:
    """Return the session of each customer that is running at t; the lists hold nothing after t."""
    if len(lists) == 1:
        return _session_of_one(lists["event_at"], at_us)
    at, begin, end = lists["event_at"], lists.offsets[:-1], lists.offsets[1:]
    newest_at = lists.newest_at
    running = (end > begin) & (at_us - newest_at < PAUSE_US)
    after_pause = np.concatenate([[0], np.flatnonzero(at[1:] - at[:-1] >= PAUSE_US) + 1])
    last = after_pause[np.searchsorted(after_pause, end - 1, side="right") - 1]
    first = np.maximum(last, begin)
    first_at = np.zeros(len(lists), np.int64)
    first_at[running] = at[first[running]]
    return Session(np.where(running, end - first, 0), first_at, np.where(running, newest_at, 0))


def _session_of_one(at: NDArray[np.int64], at_us: NDArray[np.int64]) -> Session:
    """Do the same for one list of moments, as a request has it."""
    if not len(at) or at_us[0] - at[-1] >= PAUSE_US:
        nothing = np.zeros(1, np.int64)
        return Session(nothing, nothing, nothing)
    (pauses,) = (at[1:] - at[:-1] >= PAUSE_US).nonzero()
    first = int(pauses[-1]) + 1 if len(pauses) else 0
    return Session(np.array([len(at) - first]), at[first : first + 1], at[-1:])


def session_events(session: Session) -> Floats:
    """Number of events of the running session, up to t; 0.0 where none is running."""
    return session.events.astype(np.float64)


def session_seconds(session: Session, at_us: NDArray[np.int64]) -> Floats:
    """Seconds from the running session's first event to t; NaN where none is running."""
    return np.where(session.events > 0, (at_us - session.first_at) / SECOND_US, np.nan)


def session_pace_seconds(session: Session) -> Floats:
    """Mean seconds between neighbouring events of the running session; NaN with fewer than two of them."""
    pauses = session.events - 1
    took = (session.newest_at - session.first_at) / SECOND_US
    return np.where(pauses > 0, took / np.maximum(pauses, 1), np.nan)


def seconds_since_event(lists: EventLists, at_us: NDArray[np.int64]) -> Floats:
    """Seconds from the newest event to t, in a session or not; NaN without events."""
    return np.where(lists.lengths > 0, (at_us - lists.newest_at) / SECOND_US, np.nan)
