"""A note among a view's online rows: which runs the store holds, and how far the last one is.

The ledger says what was written; the marker says what is still there. A store that was emptied, replaced, or brought
back from an older copy has another marker or none, and its view is then materialised as a whole. It is the last thing
written after each chunk, so a store that keeps the order of writes over a crash has, with the marker, the chunk.
"""

import json
import time
from dataclasses import asdict, dataclass

from intent_stores.packed_codec import OK, RowTimes, decode_rows, encode_rows
from intent_stores.packed_reader import PackedStore
from intent_stores.packed_schema import PackedSchema

MARKER_KEY = b"#materialized"
"""No entity's key: those are `name:type=value` or `*`."""

_SCHEMA = PackedSchema({"marker": "String"})
_ANSWER_SECONDS = 3.0  # a reader's budget is short; whoever materialises can wait for a busy server


@dataclass(frozen=True)
class Marker:
    """What a store holds of a view.

    Attributes:
        base: the complete run on which `run` builds; None if it began with nothing.
        run: the last run that wrote.
        rows: how many rows of that run, in its stable order, are in.
        done: whether that is all of them.
    """

    base: str | None
    run: str
    rows: int
    done: bool

    def holds(self, run_id: str) -> bool:
        """Tell whether all rows of a complete run are in the store."""
        return self.base == run_id or (self.run == run_id and self.done)


def read_marker(store: PackedStore, view: str) -> Marker | None:
    """Return a view's marker; None where there is none, or the store does not answer (all is then written again)."""
    deadline = time.monotonic() + _ANSWER_SECONDS
    while True:
        found = store.fetch([(view, [MARKER_KEY])])
        if found.trouble is None or found.trouble.startswith("no file") or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    rows = decode_rows(_SCHEMA, found.values[0])
    return Marker(**json.loads(str(rows.values["marker"][0]))) if rows.reason[0] == OK else None


def write_marker(store: PackedStore, view: str, marker: Marker) -> None:
    """Put a view's marker in the place of another, whatever the clocks of their writers say.

    Raises:
        OnlineStoreUnavailableError: the store cannot be written.
    """
    columns = {"marker": [json.dumps(asdict(marker))]}
    packed = encode_rows(_SCHEMA, columns, RowTimes.of([time.time_ns() // 1000]))
    store.change(view, [MARKER_KEY], lambda places, held: packed)
