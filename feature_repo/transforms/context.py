"""What the moment of a request says: hour, weekday, month, weekend. Everything is UTC."""

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.recency import DAY_US

__all__ = [
    "CONTEXT_NAMES",
    "context_features",
    "request_hour",
    "request_is_weekend",
    "request_month",
    "request_weekday",
]

CONTEXT_NAMES = ("request_hour", "request_weekday", "request_is_weekend", "request_month")

HOUR_US = 3_600_000_000


def request_hour(at_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Hour of the day, 0 to 23, of int64 microseconds since 1970."""
    return at_us // HOUR_US % 24


def request_weekday(at_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Day of the week, Monday 0 to Sunday 6.

    >>> request_weekday(np.array([0]))  # 1970-01-01 was a Thursday
    array([3])
    """
    return (at_us // DAY_US + 3) % 7


def request_is_weekend(at_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """1 on a Saturday or Sunday, else 0."""
    return (request_weekday(at_us) >= 5).astype(np.int64)


def request_month(at_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Month of the year, January 1 to December 12."""
    months = at_us.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    return months % 12 + 1


def context_features(at_us: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Return every context feature of requests at `at_us`, int64 microseconds since 1970, by name.

    >>> {name: int(value[0]) for name, value in context_features(np.array([0])).items()}
    {'request_hour': 0, 'request_weekday': 3, 'request_is_weekend': 0, 'request_month': 1}
    """
    functions = (request_hour, request_weekday, request_is_weekend, request_month)
    return {function.__name__: function(at_us) for function in functions}
