"""Every feature of a customer at t against a plain loop over the same baskets."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.errors import FeatureError
from feature_repo.transforms.customer import SEQUENCE_CHANNELS, customer_features
from feature_repo.transforms.ragged import Ragged
from feature_repo.transforms.recency import DAY_US

FIELDS = ("basket_at", "basket_lines", "basket_quantity", "basket_revenue", "basket_cost", "basket_items",
          "basket_categories")  # fmt: skip

# Whole days meet the borders of windows, which any microsecond would miss.
whole_days = st.integers(0, 120).map(lambda days: days * DAY_US)
baskets = st.lists(
    st.tuples(
        st.integers(0, 120 * DAY_US) | whole_days,
        st.integers(1, 30).map(float),
        st.floats(0, 1e5, allow_nan=False, width=32),
    ),
    max_size=12,
).map(lambda rows: sorted(rows))
later = st.integers(0, 10 * DAY_US) | st.integers(0, 60).map(lambda days: days * DAY_US)
customers = st.lists(st.tuples(baskets, later), min_size=1, max_size=8)


def columns_for(cases):
    lists = {name: [] for name in FIELDS}
    for rows, _ in cases:
        for at, lines, revenue in rows:
            lists["basket_at"].append(at)
            for name in FIELDS[1:]:
                lists[name].append(revenue if name in ("basket_revenue", "basket_cost") else lines)
    offsets = np.concatenate([[0], np.cumsum([len(rows) for rows, _ in cases])]).astype(np.int64)
    return {
        name: Ragged(np.array(values, np.int64 if name == "basket_at" else np.float64), offsets)
        for name, values in lists.items()
    }


def at_of(cases):
    return np.array([(rows[-1][0] if rows else 0) + later for rows, later in cases], np.int64)


def expected(rows, at):
    """The features of one customer, by the definitions, one number at a time."""
    moments = [row[0] for row in rows]
    gaps = [(b - a) / DAY_US for a, b in itertools.pairwise(moments)]
    nan = math.nan
    found = {
        "recency_days": (at - moments[-1]) / DAY_US if moments else nan,
        "gap_mean": sum(gaps) / len(gaps) if gaps else nan,
        "gap_std": math.sqrt(sum((g - sum(gaps) / len(gaps)) ** 2 for g in gaps) / len(gaps)) if gaps else nan,
        "gap_max": max(gaps) if gaps else nan,
        "gap_last": gaps[-1] if gaps else nan,
        "revenue_last_basket": rows[-1][2] if rows else nan,
        "lines_per_basket": sum(r[1] for r in rows) / len(rows) if rows else nan,
        "days_since_basket_2": (at - moments[-2]) / DAY_US if len(moments) > 1 else nan,
        "weekend_share": sum((m // DAY_US + 3) % 7 >= 5 for m in moments) / len(moments) if moments else nan,
    }
    for days in (7, 14, 28, 56):
        inside = [row for row in rows if at - days * DAY_US < row[0] <= at]
        found[f"baskets_{days}d"] = float(len(inside))
        found[f"revenue_{days}d"] = math.fsum(row[2] for row in inside)
    return found


@given(customers)
@settings(max_examples=300, deadline=None)
def test_features_equal_a_plain_loop(cases) -> None:
    at = at_of(cases)
    features = customer_features(columns_for(cases), at)
    for place, (rows, _) in enumerate(cases):
        for name, value in expected(rows, int(at[place])).items():
            assert features.numeric[name][place] == pytest.approx(value, rel=1e-9, abs=1e-6, nan_ok=True), name


@given(customers)
@settings(max_examples=200, deadline=None)
def test_one_customer_alone_gives_the_same_bits_as_in_a_batch(cases) -> None:
    together = customer_features(columns_for(cases), at_of(cases))
    for place, case in enumerate(cases):
        alone = customer_features(columns_for([case]), at_of([case]))
        for name, values in alone.numeric.items():
            assert values.tobytes() == together.numeric[name][[place]].tobytes(), name
        for name in SEQUENCE_CHANNELS:
            both = together.sequences[name].take(np.array([place]))
            assert alone.sequences[name].values.tobytes() == both.values.tobytes(), name


@given(customers, st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_a_basket_after_t_is_refused(cases, late) -> None:
    at = at_of(cases)
    if not any(rows for rows, _ in cases):
        return
    place = next(i for i, (rows, _) in enumerate(cases) if rows)
    at[place] = cases[place][0][-1][0] - late
    with pytest.raises(FeatureError, match="lies after its anchor"):
        customer_features(columns_for(cases), at)


def test_columns_of_another_length_are_refused() -> None:
    with pytest.raises(FeatureError, match="has 2 rows; expected 1"):
        customer_features({"lifetime_baskets": np.array([1.0, 2.0])}, np.array([0]))


def test_basket_fields_of_different_lengths_are_refused() -> None:
    with pytest.raises(FeatureError, match="'basket_lines' have other lengths"):
        customer_features({"basket_at": Ragged(np.array([0]), np.array([0, 1]))}, np.array([DAY_US]))


def test_an_unknown_customer_has_missing_features_and_no_sequence() -> None:
    features = customer_features({}, np.array([5 * DAY_US]))
    assert np.isnan(features.numeric["recency_days"]).all()
    assert features.numeric["baskets_7d"].tolist() == [0.0]
    assert features.categorical["area"].tolist() == [None]
    assert len(features.sequences["gap_before_days"].values) == 0
