"""Where and how a request comes: place against the customer's own, device, channel; each only if somebody says it.

A request (or an anchors file) may bring `request_country`, `request_area`, `request_device` and `request_channel`.
A column that is not there gives no feature: it is absent, not unknown.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["REQUEST_WORDS", "is_usual_place", "situation_features"]

REQUEST_WORDS = ("request_country", "request_area", "request_device", "request_channel")
_PLACES = {"request_country": "country", "request_area": "area"}


def situation_features(
    columns: Mapping[str, Any],
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.object_]]]:
    """Return the numeric and the categorical features of what `columns` say of the request; arrays of shape (n,)."""
    words = {name: np.asarray(columns[name], object) for name in REQUEST_WORDS if name in columns}
    numeric = {
        f"{usual}_is_usual": is_usual_place(words[asked], np.asarray(columns[usual], object))
        for asked, usual in _PLACES.items()
        if asked in words and usual in columns
    }
    return numeric, words


def is_usual_place(here: NDArray[np.object_], usual: NDArray[np.object_]) -> NDArray[np.float64]:
    """1 where the request comes from the customer's own place, else 0; NaN where either is not known.

    >>> is_usual_place(np.array(["FR", "DE", None], object), np.array(["FR", "FR", "FR"], object))
    array([ 1.,  0., nan])
    """
    known = np.array([one is not None and other is not None for one, other in zip(here, usual, strict=True)], np.bool_)
    return np.where(known, (here == usual).astype(np.float64), np.nan)
