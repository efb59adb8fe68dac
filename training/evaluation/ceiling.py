"""How much of what could be known a model knows: its log loss between a constant and the best reachable one.

Only of a simulated shop is the best known; `intent simulate` writes it beside the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from feature_repo.errors import SourceDataError
from training.evaluation.metrics import log_losses

__all__ = ["CEILING_FILE", "REACHED", "Ceiling", "Reachable", "read_ceiling", "share_of_reachable"]

CEILING_FILE = Path("simulation/ceiling.parquet")
"""Below a run's folder."""

REACHED = "reached"
"""The share of the reachable reduction in log loss, from a constant to the ceiling; of a simulated shop alone."""


@dataclass(frozen=True, eq=False)
class Ceiling:
    """The true probability of each anchor's label, shape (n,): `best` given all events before it, `hidden` given
    the hidden state of the shop as well, which no model can know."""

    best: NDArray[np.float64]
    hidden: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reachable:
    """The two ends of the way: one probability for all, `constant`, and the true ones, `best`, shape (n,)."""

    constant: float
    best: NDArray[np.float64]


def share_of_reachable(
    label: NDArray[np.int8], probability: NDArray[np.float64], constant: float, best: NDArray[np.float64]
) -> float:
    """Return which share of the reachable reduction in log loss a model took: 0 is the constant, 1 the ceiling.

    Below 0 it is worse than the constant. Above 1 by more than chance it has seen what it must not.

    Args:
        label: 0 or 1, shape (n,).
        probability: of the model, shape (n,).
        constant: the one probability that is known without looking at anything: the base rate of the training period.
        best: the true probabilities given all that is known at the anchors, shape (n,).
    """
    flat = np.full(len(label), constant)
    base, own, reachable = (float(log_losses(label, values).mean()) for values in (flat, probability, best))
    return (base - own) / (base - reachable) if base > reachable else float("nan")


def read_ceiling(path: Path, user_id: Sequence[str], anchor_us: NDArray[np.int64]) -> Ceiling:
    """Return the ceiling of the anchors, in their order.

    A customer has at most one anchor at a moment.

    Args:
        path: of the file that `intent simulate` wrote.
        user_id: of each anchor.
        anchor_us: t of each, int64 microseconds since 1970, shape (n,).

    Raises:
        SourceDataError: an anchor is not in the file: it was written for another task, or for other anchors.
    """
    known = pq.read_table(path)
    wanted = pa.table({"user_id": pa.array(user_id, pa.string()), "at": anchor_us, "place": np.arange(len(anchor_us))})
    at = known["event_timestamp"].cast(pa.int64())
    told = pa.table({"user_id": known["user_id"], "at": at, "number": np.arange(known.num_rows)})
    joined = wanted.join(told, ["user_id", "at"], join_type="left outer").sort_by("place")
    missing = joined["number"].null_count
    if missing or joined.num_rows != len(anchor_us):
        raise SourceDataError(
            f"{path} lacks {missing} of {len(anchor_us)} anchors of the test period; expected each of them once. "
            "It was written for another task or other anchors: run `intent simulate` with this run's settings; the "
            "same seed gives the same shop."
        )
    number = joined["number"].to_numpy()
    best, hidden = (known[name].to_numpy()[number] for name in ("probability", "probability_given_state"))
    return Ceiling(best, hidden)
