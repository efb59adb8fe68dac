"""Everything a model may know of a customer at t, from the views' columns: one implementation for both sides.

Training runs it over a million anchors, the service over one request. A feature's name is the key it gets here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
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
    gaps, weekdays = rec.gap_days(moments), rec.weekdays(moments.values)
    sums = _sums(baskets, win.in_windows(moments, at_us, WINDOW_DAYS), weekdays)
    numeric = _history(columns, at_us) | _rhythm(moments, gaps, sums, at_us) | _amounts(baskets, sums)
    if (numeric["recency_days"] < 0).any():
        raise FeatureError(
            "A basket lies after its anchor; expected only baskets up to t. Build the columns by a point-in-time join."
        )
    categorical = {name: _text(columns, name, n) for name in CATEGORICAL}
    return CustomerFeatures(numeric, categorical, _sequence(baskets, gaps, weekdays, at_us), n)


_MOMENTS, _AMOUNTS = np.dtype(np.int64), np.dtype(np.float64)
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


@cache
def _in_windows(what: str, windows: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"{what}_{days}d" for days in windows)


@cache
def _sums_of(windows: tuple[int, ...]) -> tuple[str, ...]:
    in_windows = (*_in_windows("baskets", windows), *_in_windows("revenue", windows))
    return ("weekend", "lines", "categories", "lines_28d", *in_windows)


def _baskets(columns: Columns, n: int) -> dict[str, Ragged]:
    """Return the lists of baskets, which all share their offsets."""
    moments = _ragged(columns, "basket_at", n)
    expected = moments.offsets
    found = {"basket_at": moments}
    for name in _BASKET_FIELDS[1:]:
        lists = _ragged(columns, name, n)
        if lists.offsets is not expected and lists.offsets.tobytes() != expected.tobytes():
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


def _sums(baskets: dict[str, Ragged], inside: NDArray[np.bool_], weekdays: NDArray[np.int64]) -> dict[str, Floats]:
    """Add up over each customer's baskets what features are made of; amounts that are not known count 0 in windows."""
    lines, revenue = baskets["basket_lines"], baskets["basket_revenue"].known_or_zero().values
    lines_28d = np.where(inside[WINDOW_DAYS.index(28)], lines.known_or_zero().values, 0.0)
    rows = chain(
        [weekdays >= 5, lines.values, baskets["basket_categories"].values, lines_28d],
        inside,
        (np.where(here, revenue, 0.0) for here in inside),
    )
    return dict(zip(_sums_of(WINDOW_DAYS), lines.sums(rows), strict=True))


def _rhythm(moments: Ragged, gaps: Ragged, sums: dict[str, Floats], at_us: NDArray[np.int64]) -> dict[str, Floats]:
    usual_gap = gaps.mean()
    since, last_gaps = rec.days_between(moments.newest(5), at_us), gaps.newest(2)
    features = {
        "recency_days": since[0],
        "gap_mean": usual_gap,
        "gap_std": gaps.std(usual_gap),
        "gap_max": gaps.max(),
        "gap_last": last_gaps[0],
        "gap_second_last": last_gaps[1],
        "late_by_gap_ratio": rec.late_by_gap_ratio(since[0], usual_gap),
        "weekend_share": moments.per_value(sums["weekend"]),
    }
    features |= {name: sums[name] for name in _in_windows("baskets", WINDOW_DAYS)}
    return features | {f"days_since_basket_{back + 1}": since[back] for back in (1, 2, 3, 4)}


def _amounts(baskets: dict[str, Ragged], sums: dict[str, Floats]) -> dict[str, Floats]:
    revenue, lines = baskets["basket_revenue"], baskets["basket_lines"]
    known = _known(revenue)
    features: dict[str, Floats] = {
        "revenue_last_basket": revenue.last(),
        "lines_last_basket": lines.last(),
        "lines_per_basket": lines.per_value(sums["lines"]),
        "revenue_spread": known.std(known.mean()),
        "categories_per_basket": lines.per_value(sums["categories"]),
    }
    return features | {name: sums[name] for name in (*_in_windows("revenue", WINDOW_DAYS), "lines_28d")}


def _known(amounts: Ragged) -> Ragged:
    unknown = np.isnan(amounts.values)
    return amounts.where(~unknown) if unknown.any() else amounts


_WEEKDAY_SIN, _WEEKDAY_COS = (wave(2 * np.pi * np.arange(7) / 7) for wave in (np.sin, np.cos))


def _sequence(
    baskets: dict[str, Ragged], gaps: Ragged, weekdays: NDArray[np.int64], at_us: NDArray[np.int64]
) -> dict[str, Ragged]:
    moments = baskets["basket_at"]
    before = (moments.spread(at_us) - moments.values) / rec.DAY_US
    made = {
        "gap_before_days": _gap_before(moments, gaps),
        "days_before_anchor": before,
        "weekday_sin": _WEEKDAY_SIN[weekdays],
        "weekday_cos": _WEEKDAY_COS[weekdays],
    }
    return {name: moments.with_values(made[name]) if name in made else baskets[name] for name in SEQUENCE_CHANNELS}


def _gap_before(moments: Ragged, gaps: Ragged) -> Floats:
    before = np.zeros(len(moments.values))
    if len(moments) == 1:
        before[1:] = gaps.values
        return before
    follows = np.ones(len(before), np.bool_)
    follows[moments.begins] = False
    before[follows] = gaps.values
    return before


def _number(columns: Columns, name: str, n: int) -> Floats:
    column = columns.get(name)
    return np.full(n, np.nan) if column is None else np.asarray(column, np.float64)


def _text(columns: Columns, name: str, n: int) -> NDArray[np.object_]:
    column = columns.get(name)
    return np.full(n, None, object) if column is None else np.asarray(column, object)


def _ragged(columns: Columns, name: str, n: int) -> Ragged:
    dtype, lists = _MOMENTS if name == "basket_at" else _AMOUNTS, columns.get(name)
    if lists is None:
        return Ragged.empty(n, dtype)
    known: Ragged = lists
    return known if known.values.dtype == dtype else Ragged(np.asarray(known.values, dtype), known.offsets)
