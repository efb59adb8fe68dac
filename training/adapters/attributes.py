"""Rows of a file about items or customers."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.adapters.canonical_rows import canonical_chunk
from training.adapters.contract import About, CanonicalChunk, Problem
from training.adapters.csv_rows import SourceRows
from training.adapters.readings import Reading

__all__ = ["attribute_chunk"]


def attribute_chunk(
    about: About,
    rows: SourceRows,
    columns: Mapping[str, str],
    read_timestamp: Callable[[pa.Array], Reading],
    constants: Mapping[str, str] | None = None,
) -> CanonicalChunk:
    """Return `rows` about `items` or `users`; without a column of times they hold since the log's first event.

    With one, a row without a time has the problem `missing_timestamp`. Of the events' `constants` items have the
    currency.
    """
    currency = {} if about == "users" or "currency" in columns else {"currency": (constants or {}).get("currency", "")}
    chunk = canonical_chunk(rows, columns, {name: code for name, code in currency.items() if code}, read_timestamp)
    problems = chunk.problems
    if "event_timestamp" in columns:
        missing: npt.NDArray[np.bool_] = chunk.rows["event_timestamp"].is_null().to_numpy(zero_copy_only=False)
        unreadable = [one.rows for one in problems if one.reason == "unreadable_timestamp"]
        missing = missing & ~unreadable[0] if unreadable else missing
        problems = (*problems, Problem("missing_timestamp", f"column {columns['event_timestamp']}", missing))
    return replace(chunk, problems=problems, about=about)
