"""The leak checks find what they are for, and name the feature."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from feature_repo.errors import FeatureError, SplitError
from feature_repo.transforms.ragged import Ragged
from training.dataset.leakage_checks import (
    changed_columns,
    require_gap,
    require_past,
    require_plausible,
    single_feature_auc,
)

MONDAY = datetime(2001, 1, 8, tzinfo=UTC)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), min_size=2, max_size=60))
def test_single_feature_auc_is_scikit_learns(rows) -> None:
    values = np.array([float(value) for value, _ in rows])
    label = np.array([label for _, label in rows], np.int8)
    expected = roc_auc_score(label, values) if 0 < label.sum() < len(label) else 0.5
    assert single_feature_auc(values, label) == pytest.approx(expected)


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["as it is", "turned round"])
def test_a_feature_that_has_seen_the_label_is_named(sign) -> None:
    rng = np.random.default_rng(0)
    label = (rng.random(5_000) < 0.2).astype(np.int8)
    columns = {"honest": rng.normal(size=5_000) + label, "bought_later": sign * label + rng.normal(0, 0.01, 5_000)}
    with pytest.raises(FeatureError, match="bought_later") as refused:
        require_plausible(columns, label)
    assert "honest" not in str(refused.value)
    assert require_plausible({"honest": columns["honest"]}, label)["honest"] == pytest.approx(0.76, abs=0.03)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_missing_value_hides_nothing(sign) -> None:
    """Half of those without the label never bought: their time since the last purchase is longer than any."""
    label = np.array([1, 1, 0, 0] * 50, np.int8)
    days = np.where(label == 1, 1.0, np.where(np.arange(200) % 4 == 2, 9.0, np.nan))
    assert abs(single_feature_auc(sign * days, label) - 0.5) == 0.5
    with pytest.raises(FeatureError, match="days_since_purchase"):
        require_plausible({"days_since_purchase": sign * days}, label)


def test_the_length_of_a_list_can_give_the_label_away() -> None:
    label = np.array([0, 1] * 50, np.int8)
    assert require_plausible({"few": label[:59].astype(float)}, label[:59]) == {}
    offsets = np.concatenate([[0], np.cumsum(label + 1)]).astype(np.int64)
    with pytest.raises(FeatureError, match="length of session"):
        require_plausible({"session": Ragged(np.zeros(offsets[-1]), offsets)}, label)
    values = np.zeros(offsets[-1])
    values[offsets[1:] - 1] = label
    with pytest.raises(FeatureError, match="last of session"):
        require_plausible({"session": Ragged(values, offsets)}, label)


def test_a_text_can_give_the_label_away_and_rare_texts_do_not_learn_their_own() -> None:
    label = np.array([0, 1] * 200, np.int8)
    towns = np.array(["north" if bought else None for bought in label], object)
    with pytest.raises(FeatureError, match="town"):
        require_plausible({"town": towns}, label)
    unique = np.array([f"street {number}" for number in range(400)], object)
    assert require_plausible({"street": unique}, label) == {"street": 0.5}


@pytest.mark.parametrize("late", [0, 1])
def test_a_moment_after_the_anchor_is_named(late) -> None:
    at = np.array([100, 200], np.int64)
    lists = Ragged(np.array([10, 100 + late, 200]), np.array([0, 2, 3]))
    columns = {
        "basket_at": lists,
        "first_purchase_at": np.array([np.nan, 200.0]),
        "renewed_at": np.array([900.0, 900.0]),
    }
    if not late:
        require_past(columns, at)
        return
    with pytest.raises(FeatureError, match="'basket_at' holds 1 moments after"):
        require_past(columns, at)
    with pytest.raises(FeatureError, match="first_purchase_at"):
        require_past({"first_purchase_at": np.array([np.nan, 201.0])}, at)


def test_columns_that_changed_are_named_and_equal_ones_are_not() -> None:
    lists = Ragged(np.array([1.0, np.nan]), np.array([0, 1, 2]))
    before = {"a": np.array([1.0, np.nan]), "b": np.array(["x", None], object), "c": lists, "gone": np.zeros(1)}
    after = {"a": np.array([1.0, np.nan]), "b": np.array(["x", "y"], object), "c": lists.take(np.array([1, 0]))}
    assert changed_columns(before, before) == []
    assert changed_columns(before, after) == ["b", "c", "gone"]


def test_splits_closer_than_the_horizon_are_refused() -> None:
    week = timedelta(days=7)
    late = timedelta(microseconds=1)
    test = ("test", MONDAY + 2 * week, MONDAY + 4 * week)
    require_gap([("train", MONDAY, MONDAY + 2 * week), test])
    with pytest.raises(SplitError, match="'train' and 'test' are too close"):
        require_gap([("train", MONDAY, MONDAY + 2 * week + late), test])
