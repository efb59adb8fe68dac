"""Everything a model may know of a customer at t, from the views' columns: one implementation for both sides.

Training runs it over a million anchors, the service over one request. A feature's name is the key it gets here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import FeatureError
from feature_repo.transforms import recency as rec
from feature_repo.transforms import windows as win
from feature_repo.transforms.ragged import Ragged

__all__ = ["CATEGORICAL", "SEQUENCE_CHANNELS", "CustomerFeatures", "customer_features"]

CATEGORICAL = ("age_group", "gender", "occupation", "country", "area")
WINDOW_DAYS = (7, 14, 28, 56)
SEQUENCE_CHANNELS = (
    "gap_before_days",
    "days_before_anchor",
    "basket_lines",
    "basket_quantity",
    "basket_revenue",
    "basket_categories",
    "weekday_sin",
    "weekday_cos",
)
Columns = Mapping[str, Any]
Floats = NDArray[np.float64]
Windows = Mapping[int, NDArray[np.bool_]]
"""Days → for each moment, whether it lies in so many days up to t."""


@dataclass(frozen=True)
class CustomerFeatures:
    """What is known about n customers, each at its own t.

    `numeric` maps a feature's name to float64 of shape (n,), NaN where it is not known; `categorical` maps a name
    to an object array of text, None where it is not known; either may hold one value, which is then of all rows.
    `sequences` maps a channel to a `Ragged` of float64, oldest basket (or event) first, all with the same offsets;
    `codes` maps a field of text in the same lists to a `Ragged` of int64 codes to embed, 0 for unknown; `candidate`
    maps a field of the item that is asked about, where one is, to int64 codes of shape (n,), made as the lists' are.
    """

    numeric: dict[str, Floats]
    categorical: dict[str, NDArray[np.object_]]
    sequences: dict[str, Ragged]
    n: int
    codes: dict[str, Ragged] = field(default_factory=dict)
    candidate: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def take(self, index: NDArray[np.int64]) -> "CustomerFeatures":
        """Return the features of the rows `index`, in that order."""
        return CustomerFeatures(
            {name: values[index] for name, values in self.numeric.items()},
            {name: values[index] for name, values in self.categorical.items()},
            {name: lists.take(index) for name, lists in self.sequences.items()},
            len(index),
            {name: lists.take(index) for name, lists in self.codes.items()},
            {name: codes[index] for name, codes in self.candidate.items()},
        )


def customer_features(columns: Columns, at_us: NDArray[np.int64]) -> CustomerFeatures:
    """Compute the features of n customers from the columns of `user_profile`, `user_history`, `user_baskets`.

    Args:
        columns: field name → array of shape (n,) (float64 with NaN, or object with None) or `Ragged`; a field that
            is absent counts as not known.
        at_us: t for each row, int64 microseconds since 1970, shape (n,). The columns hold only what is known at t.

    Raises:
        FeatureError: a column has another number of rows than `at_us`, or the basket fields' lists differ in length.

    A moment of purchase after t never enters: it would give a negative recency, which is refused here as well.
    """
    n = len(at_us)
    for name, column in columns.items():
        if len(column) != n:
            raise FeatureError(
                f"Column {name!r} has {len(column)} rows; expected {n}, one for each anchor. "
                "Build all columns from the same list of customers."
            )
    baskets = _baskets(columns, n)
    moments = baskets["basket_at"]
    gaps = rec.gap_days(moments)
    inside = {days: win.in_window(moments, at_us, days) for days in WINDOW_DAYS}
    numeric = _history(columns, at_us) | _rhythm(moments, gaps, inside, at_us) | _amounts(baskets, inside)
    if (numeric["recency_days"] < 0).any():
        raise FeatureError(
            "A basket lies after its anchor; expected only baskets up to t. Build the columns by a point-in-time join."
        )
    categorical = {name: _text(columns, name, n) for name in CATEGORICAL}
    return CustomerFeatures(numeric, categorical, _sequence(baskets, gaps, at_us), n)


_BASKET_FIELDS = (
    "basket_at",
    "basket_lines",
    "basket_quantity",
    "basket_revenue",
    "basket_cost",
    "basket_items",
    "basket_categories",
)
_HISTORY_FIELDS = (
    "lifetime_baskets",
    "lifetime_lines",
    "lifetime_quantity",
    "lifetime_revenue",
    "lifetime_returns",
    "distinct_items",
    "distinct_categories",
)


def _baskets(columns: Columns, n: int) -> dict[str, Ragged]:
    """Return the lists of baskets, which all share their offsets."""
    moments = _ragged(columns, "basket_at", n)
    expected = moments.offsets
    found = {"basket_at": moments}
    for name in _BASKET_FIELDS[1:]:
        lists = _ragged(columns, name, n)
        if lists.offsets is not expected and not bool((lists.offsets == expected).all()):
            raise FeatureError(
                f"Lists of {name!r} have other lengths than those of 'basket_at' ({lists.offsets[-1]} values against "
                f"{expected[-1]}); expected one value a basket in each. Read all fields of user_baskets together."
            )
        found[name] = moments.with_values(lists.values)
    return found


def _history(columns: Columns, at_us: NDArray[np.int64]) -> dict[str, Floats]:
    n = len(at_us)
    known = {name: _number(columns, name, n) for name in _HISTORY_FIELDS}
    tenure = rec.tenure_days(_number(columns, "first_purchase_at", n), at_us)
    revenue, cost = known["lifetime_revenue"], _number(columns, "lifetime_cost", n)
    with np.errstate(divide="ignore", invalid="ignore"):
        return known | {
            "tenure_days": tenure,
            "baskets_per_week": known["lifetime_baskets"] / np.maximum(tenure / 7, 1),
            "revenue_per_basket": revenue / known["lifetime_baskets"],
            "margin_share": np.where(revenue > 0, (revenue - cost) / revenue, np.nan),
            "items_per_line": known["distinct_items"] / known["lifetime_lines"],
        }


def _rhythm(basket_at: Ragged, gaps: Ragged, inside: Windows, at_us: NDArray[np.int64]) -> dict[str, Floats]:
    recency, usual_gap = rec.recency_days(basket_at, at_us), gaps.mean()
    features = {
        "recency_days": recency,
        "gap_mean": usual_gap,
        "gap_std": gaps.std(),
        "gap_max": gaps.max(),
        "gap_last": gaps.last(),
        "gap_second_last": gaps.last(1),
        "late_by_gap_ratio": rec.late_by_gap_ratio(recency, usual_gap),
        "weekend_share": rec.share_on_weekend(basket_at),
    }
    counts = win.sums_of(basket_at.with_values(np.ones(len(basket_at.values))), inside.values())
    features |= {f"baskets_{days}d": count for days, count in zip(inside, counts, strict=True)}
    for back in (1, 2, 3, 4):
        features[f"days_since_basket_{back + 1}"] = rec.days_between(basket_at.last(back), at_us)
    return features


def _amounts(baskets: dict[str, Ragged], inside: Windows) -> dict[str, Floats]:
    features: dict[str, Floats] = {
        "revenue_last_basket": baskets["basket_revenue"].last(),
        "lines_last_basket": baskets["basket_lines"].last(),
        "lines_per_basket": baskets["basket_lines"].mean(),
        "revenue_spread": _known(baskets["basket_revenue"]).std(),
        "categories_per_basket": baskets["basket_categories"].mean(),
    }
    sums = win.sums_of(baskets["basket_revenue"].known_or_zero(), inside.values())
    features |= {f"revenue_{days}d": revenue for days, revenue in zip(inside, sums, strict=True)}
    features["lines_28d"] = win.sum_of(baskets["basket_lines"].known_or_zero(), inside[28])
    return features


def _known(amounts: Ragged) -> Ragged:
    known = ~np.isnan(amounts.values)
    return amounts if known.all() else amounts.where(known)


def _sequence(baskets: dict[str, Ragged], gaps: Ragged, at_us: NDArray[np.int64]) -> dict[str, Ragged]:
    moments = baskets["basket_at"]
    before = (np.repeat(at_us, moments.lengths) - moments.values) / rec.DAY_US
    gap_before = np.zeros(len(moments.values))
    follows = np.ones(len(moments.values), np.bool_)
    follows[moments.begins] = False
    gap_before[follows] = gaps.values
    angle = 2 * np.pi * ((moments.values // rec.DAY_US + 3) % 7) / 7
    made = {
        "gap_before_days": gap_before,
        "days_before_anchor": before,
        "weekday_sin": np.sin(angle),
        "weekday_cos": np.cos(angle),
    }
    return {name: moments.with_values(made[name]) if name in made else baskets[name] for name in SEQUENCE_CHANNELS}


def _column(columns: Columns, name: str, missing: Callable[[], Any]) -> Any:
    column = columns.get(name)
    return missing() if column is None else column


def _number(columns: Columns, name: str, n: int) -> Floats:
    return np.asarray(_column(columns, name, lambda: np.full(n, np.nan)), np.float64)


def _text(columns: Columns, name: str, n: int) -> NDArray[np.object_]:
    return np.asarray(_column(columns, name, lambda: np.full(n, None, object)), object)


def _ragged(columns: Columns, name: str, n: int) -> Ragged:
    dtype = np.int64 if name == "basket_at" else np.float64
    lists: Ragged = _column(columns, name, lambda: Ragged.empty(n, dtype))
    return Ragged(np.asarray(lists.values, dtype), lists.offsets)
