"""The canonical schema of a shop's log, and the rules of time. Everything else refers to this page.

Rules of time
-------------
* Everything is UTC, in microseconds: `timestamp[us, tz=UTC]`.
* `event_timestamp` is when something happened; `created_timestamp` is when it became known. An import computes
  the latter as the event's time plus the delay its adapter declares, never from the clock of the import:
  otherwise every anchor of the past would see nothing.
* An **anchor** is (user[, item], t). A feature at an anchor uses rows with `event_timestamp <= t` **and**
  `created_timestamp <= t`.
* A label looks at `(t, t + horizon]`.
* A window of length w at t is `(t - w, t]`, evaluated at t, not at the customer's last event.
* Splits are contiguous in time; an anchor whose label window is cut by a split or by the end of the log is
  dropped, and counted.
"""

from hashlib import sha256

import pyarrow as pa

__all__ = [
    "BASKETS_KEPT",
    "EVENTS_KEPT",
    "EVENT_SCHEMA",
    "EVENT_TYPES",
    "ITEM_SCHEMA",
    "QUARANTINE_SCHEMA",
    "TIMESTAMP",
    "USER_SCHEMA",
    "event_key",
]

TIMESTAMP = pa.timestamp("us", tz="UTC")

EVENT_TYPES = (
    "view",
    "search",
    "favourite",
    "add_to_cart",
    "remove_from_cart",
    "purchase",
    "return",
    "impression",
    "click",
)
"""The closed vocabulary of `event_type`; a row with another one goes to quarantine."""

BASKETS_KEPT = 50
"""How many of a customer's last baskets the view `user_baskets` keeps."""

EVENTS_KEPT = 256
"""How many of a customer's last events the view `user_events` keeps."""

EVENT_SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string()),
        pa.field("session_id", pa.string()),
        pa.field("event_type", pa.string(), nullable=False),
        pa.field("event_timestamp", TIMESTAMP, nullable=False),
        pa.field("created_timestamp", TIMESTAMP, nullable=False),
        pa.field("quantity", pa.float64()),
        pa.field("revenue", pa.float64()),
        pa.field("cost", pa.float64()),
        pa.field("currency", pa.string()),
        pa.field("category", pa.string()),
        pa.field("list_price", pa.float64()),
    ]
)
"""One row an event, ordered by time.

`event_id` is unique and the same for the same source row, whoever imports it and however often. `quantity` is in
pieces, `revenue` and `cost` are the line's totals in `currency` (ISO 4217). `list_price` is what one piece of the
item was offered for at that moment, whatever the event is, in the currency of the shop's catalogue. Null means that the
source says nothing.
"""

USER_SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("event_timestamp", TIMESTAMP, nullable=False),
        pa.field("created_timestamp", TIMESTAMP, nullable=False),
        pa.field("age_group", pa.string()),
        pa.field("gender", pa.string()),
        pa.field("occupation", pa.string()),
        pa.field("country", pa.string()),
        pa.field("area", pa.string()),
        pa.field("signed_up_at", TIMESTAMP),
    ]
)
"""One row whenever what is known about a customer changed. Null means that the shop does not know."""

ITEM_SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("event_timestamp", TIMESTAMP, nullable=False),
        pa.field("created_timestamp", TIMESTAMP, nullable=False),
        pa.field("category", pa.string()),
        pa.field("brand", pa.string()),
        pa.field("title", pa.string()),
        pa.field("description", pa.string()),
        pa.field("list_price", pa.float64()),
        pa.field("unit_cost", pa.float64()),
        pa.field("currency", pa.string()),
    ]
)
"""One row whenever what is known about an item changed; prices and costs are per piece, in `currency`."""

QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("source_row", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string()),
        pa.field("source_values", pa.string(), nullable=False),
    ]
)
"""A source row that could not be used: its number (the first data row is 1), why, and its values as JSON."""


def event_key(event_id: str) -> int:
    """Return the number that stands for an `event_id` where text would be too long: in [0, 2**63).

    It is the first 63 bits of the SHA-256 of its UTF-8. Two of a customer's 10,000 events share one with a probability
    of 5 in 10**12.
    """
    return int.from_bytes(sha256(event_id.encode()).digest()[:8], "big") >> 1
