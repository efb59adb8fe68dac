"""How uncertain a mean is when its terms come in groups: anchors of one customer, or of one date, move together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["clustered_error"]


def clustered_error(values: NDArray[np.float64], cluster: NDArray[Any]) -> float:
    """Return the standard error of the mean of `values` (shape (n,)) over the groups `cluster` (shape (n,)).

    Infinity if there is one group only: nothing is known of how groups differ.

    Source: Liang & Zeger 1986, the sandwich estimator for a mean, with the factor groups / (groups - 1).
    """
    codes = np.unique(cluster.astype(str) if cluster.dtype == object else cluster, return_inverse=True)[1]
    sums = np.bincount(codes, values - values.mean())
    if len(sums) < 2:
        return float("inf")
    return float(np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)) / len(values))
