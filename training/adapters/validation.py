"""Which rows can be used, and why not the others: a pandera schema over the canonical events.

Pandera and pandas take seconds to import and are loaded at the first check.
"""

import os
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.events import EVENT_TYPES
from training.adapters.contract import CanonicalChunk, Problem

__all__ = ["EARLIEST", "LATEST", "REASONS", "is_servable", "verdicts"]

# The rule of `services/contracts.py` for the `user_id` of a request, which this layer may not import: whoever has
# another id could be trained on, but never be scored.
ID_CHARACTERS = 128

REASONS = {
    "wrong_column_count": "the row has more or fewer cells than the header",
    "not_utf8": "a cell holds bytes that are not UTF-8",
    "missing_user_id": "nobody is named",
    "id_not_servable": f"the customer's id is longer than {ID_CHARACTERS} characters, or holds control characters",
    "unreadable_timestamp": "the time is not one that the adapter can read",
    "missing_timestamp": "no time is given",
    "timestamp_out_of_range": "the time is before 1990 or after 2099",
    "missing_event_type": "no kind of event is given",
    "unknown_event_type": f"the kind of event is none of {', '.join(EVENT_TYPES)}",
    "not_a_number": "a cell holds something else where a number belongs",
    "negative_quantity": "fewer than no pieces, and it is not a return",
    "unknown_currency": "the currency is not three capital letters (ISO 4217)",
    "duplicate": "an exact repetition of an earlier row of the source",
}
"""Every reason for quarantine; of several, the first of this list is given."""

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""Times in [EARLIEST, LATEST) are taken; what lies outside is a wrong unit or a slip. Never today's clock."""

CHECKED = ("user_id", "event_type", "event_timestamp", "quantity", "currency")


def is_servable(user_id: str) -> bool:
    """Return whether the service answers for this id: 1 to 128 printable characters."""
    return 0 < len(user_id) <= ID_CHARACTERS and user_id.isprintable()


def verdicts(chunk: CanonicalChunk) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    """Return (reason, detail), each object[n]: None where the row can be used.

    `detail` names columns, never a customer or a value.
    """
    problems = [*chunk.problems, *_broken_rules(chunk.rows)]
    rank = {reason: place for place, reason in enumerate(REASONS)}
    reason = np.full(chunk.rows.num_rows, None, dtype=object)
    detail = reason.copy()
    for problem in sorted(problems, key=lambda one: rank[one.reason], reverse=True):
        reason[problem.rows], detail[problem.rows] = problem.reason, problem.detail
    return reason, detail


def _broken_rules(rows: pa.Table) -> list[Problem]:
    import pandas as pd

    errors = _pandera().errors
    returned = pc.fill_null(pc.equal(rows["event_type"], "return"), False)
    pieces = pc.if_else(returned, pa.scalar(None, pa.float64()), rows["quantity"])  # a return may have any sign
    place = rows.schema.get_field_index("quantity")
    judged = rows.set_column(place, "quantity", pieces).select(CHECKED)
    frame = judged.to_pandas(types_mapper=pd.ArrowDtype)
    try:
        _schema().validate(frame, lazy=True)
    except errors.SchemaErrors as broken:
        return _problems(broken.failure_cases, rows.num_rows)
    return []


def _problems(cases: Any, length: int) -> list[Problem]:
    if cases["index"].isna().any():  # a rule that itself failed, not a row: ours to mend, never to pass over
        raise ValueError(f"A rule of the event schema could not be applied: {list(cases['failure_case'])}")
    found = []
    for (column, check), group in cases.groupby(["column", "check"]):
        reason = NULL_REASONS[column] if check == "not_nullable" else check
        mask = np.zeros(length, dtype=bool)
        mask[group["index"].to_numpy(dtype=np.int64)] = True
        found.append(Problem(reason, f"canonical column {column}", mask))
    return found


NULL_REASONS = {
    "user_id": "missing_user_id",
    "event_timestamp": "missing_timestamp",
    "event_type": "missing_event_type",
}


@cache
def _pandera() -> Any:
    """Import pandera, and put the environment back as it was.

    Its import sets PYARROW_IGNORE_TIMEZONE=1 (for pyspark), and from then on pyarrow drops the offset of a datetime:
    14:00+02:00 would become 14:00 UTC, here and in every process started from here.
    """
    before = {name: os.environ.get(name) for name in ("PYARROW_IGNORE_TIMEZONE", "SPARK_LOCAL_IP")}
    import pandera.errors
    import pandera.pandas

    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
    return pandera


def _servable(users: Any) -> Any:
    """Return bool[n] for a pandas series of ids, each different one looked at once; null counts as servable."""
    encoded = pa.array(users, pa.string()).dictionary_encode()
    holds = pa.array([is_servable(user) for user in encoded.dictionary.to_pylist()], pa.bool_())
    mask = holds.take(encoded.indices).fill_null(True).to_numpy(zero_copy_only=False)
    return type(users)(mask, index=users.index)


@cache
def _schema() -> Any:
    pandera = _pandera().pandas

    def rule(name: str, holds: Any) -> Any:
        return pandera.Check(holds, name=name, ignore_na=True)

    column = pandera.Column
    return pandera.DataFrameSchema(
        {
            "user_id": column(nullable=False, checks=rule("id_not_servable", _servable)),
            "event_timestamp": column(
                nullable=False, checks=rule("timestamp_out_of_range", lambda at: (at >= EARLIEST) & (at < LATEST))
            ),
            "event_type": column(
                nullable=False, checks=rule("unknown_event_type", lambda kind: kind.isin(EVENT_TYPES))
            ),
            "quantity": column(nullable=True, checks=rule("negative_quantity", lambda pieces: pieces >= 0)),
            "currency": column(
                nullable=True, checks=rule("unknown_currency", lambda code: code.str.fullmatch("[A-Z]{3}"))
            ),
        }
    )
