"""How long ago, how long known, how regularly: functions of the moments of a customer's baskets and of t.

Moments are int64 microseconds since 1970 (UTC), lists are oldest first and hold only what is known at t.
Durations come out in days. NaN means that there is nothing to measure.
"""

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.ragged import Ragged

__all__ = [
    "DAY_US",
    "days_between",
    "gap_days",
    "late_by_gap_ratio",
    "tenure_days",
    "weekdays",
]

DAY_US = 86_400_000_000


def days_between(earlier_us: NDArray[np.float64], at_us: NDArray[np.int64]) -> NDArray[np.float64]:
    """Days from `earlier_us` (float64, NaN for never, shape (n,) or (moments, n)) to `at_us`, shape (n,)."""
    return (at_us.astype(np.float64) - earlier_us) / DAY_US


def tenure_days(first_purchase_at: NDArray[np.float64], at_us: NDArray[np.int64]) -> NDArray[np.float64]:
    """Days since the very first purchase, which may lie before the last N baskets; NaN if there is none."""
    return days_between(first_purchase_at, at_us)


def gap_days(basket_at: Ragged) -> Ragged:
    """Days between neighbouring baskets, oldest gap first: one value fewer than there are baskets."""
    gaps = basket_at.differences()
    return gaps.with_values(gaps.values.astype(np.float64) / DAY_US)


def late_by_gap_ratio(recency: NDArray[np.float64], mean_gap: NDArray[np.float64]) -> NDArray[np.float64]:
    """Recency over the usual gap: 1 when a customer is just due, 3 when three usual gaps have passed.

    A usual gap below one day counts as one day. NaN if fewer than two baskets are known.
    """
    return recency / np.maximum(mean_gap, 1.0)


def weekdays(moments_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Weekday of each moment (UTC), Monday is 0."""
    return (moments_us // DAY_US + 3) % 7  # 1970-01-01 was a Thursday
