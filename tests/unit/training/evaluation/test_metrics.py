"""scikit-learn is the oracle; ties, weights and extreme probabilities are drawn on purpose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from training.evaluation.metrics import (
    METRICS,
    Ranking,
    equal_mass_bins,
    probability_metrics,
    rank_metrics,
)


@st.composite
def weighted_scores(draw):
    rows = draw(st.integers(4, 60))
    seed = draw(st.integers(0, 2**32 - 1))
    levels = draw(st.sampled_from([2, 5, 1000]))  # few levels make many ties
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 2, rows).astype(np.int8)
    label[:2] = (0, 1)
    probability = generator.integers(0, levels + 1, rows) / levels
    whole = draw(st.booleans())
    weight = generator.integers(0, 4, rows) if whole else generator.random(rows)
    weight[:2] = 1
    return label, probability, weight


@settings(deadline=None, max_examples=300)
@given(weighted_scores())
def test_equals_scikit_learn_with_ties_and_weights(case):
    label, probability, weight = case
    ours = probability_metrics(label, probability, weight)
    expected = {
        "roc_auc": roc_auc_score(label, probability, sample_weight=weight),
        "pr_auc": average_precision_score(label, probability, sample_weight=weight),
        "log_loss": log_loss(label, probability, sample_weight=weight, labels=[0, 1]),
        "brier": brier_score_loss(label, probability, sample_weight=weight),
    }
    for name, value in expected.items():
        assert ours[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


@settings(deadline=None, max_examples=100)
@given(weighted_scores())
def test_an_integer_weight_is_a_repetition(case):
    label, probability, weight = case
    times = np.round(weight * 3).astype(np.int64)
    repeated = probability_metrics(np.repeat(label, times), np.repeat(probability, times))
    weighted = probability_metrics(label, probability, times)
    assert weighted == pytest.approx(repeated, rel=1e-9, abs=1e-12, nan_ok=True)


@settings(deadline=None, max_examples=100)
@given(weighted_scores(), st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(case, seed):
    label, probability, weight = case
    shuffled = np.random.default_rng(seed).permutation(len(label))
    again = probability_metrics(label[shuffled], probability[shuffled], weight[shuffled])
    assert again == pytest.approx(probability_metrics(label, probability, weight), rel=1e-9, abs=1e-12)


def test_bins_without_ties_hold_equal_numbers():
    scores = np.random.default_rng(0).permutation(1500) / 1500
    bins = equal_mass_bins(Ranking.of(np.zeros(1500, np.int8), scores))
    assert np.bincount(bins).tolist() == [100] * 15
    assert bins[np.argmin(scores)] == 0
    assert bins[np.argmax(scores)] == 14


def test_a_run_of_ties_stays_in_one_bin():
    scores = np.repeat([0.1, 0.2, 0.9], [400, 500, 100])
    bins = equal_mass_bins(Ranking.of(np.zeros(1000, np.int8), scores))
    assert [len(set(bins[scores == score])) for score in (0.1, 0.2, 0.9)] == [1, 1, 1]


def test_calibration_error_equals_a_plain_loop():
    generator = np.random.default_rng(5)
    scores = generator.random(3000)
    label = (generator.random(3000) < scores**2).astype(np.int8)
    parts = np.array_split(np.argsort(scores), 15)
    expected = sum(abs(scores[part].mean() - label[part].mean()) * len(part) for part in parts) / 3000
    assert probability_metrics(label, scores)["ece"] == pytest.approx(expected, rel=1e-9)


def test_lift_is_the_base_rates_multiple_in_the_best_tenth():
    label = np.array([1] * 8 + [0] * 2 + [1] * 12 + [0] * 78, np.int8)
    scores = np.linspace(1, 0, 100)
    assert probability_metrics(label, scores)["lift_at_10"] == pytest.approx(0.8 / 0.2)


def test_lift_shares_out_a_tie_at_the_limit():
    label = np.array([1, 0] * 50, np.int8)
    assert probability_metrics(label, np.full(100, 0.5))["lift_at_10"] == pytest.approx(1.0)


def test_a_constant_score_ranks_like_a_coin():
    label = np.array([0, 0, 0, 1], np.int8)
    found = probability_metrics(label, np.full(4, 0.25))
    assert found["roc_auc"] == 0.5
    assert found["pr_auc"] == pytest.approx(0.25)
    assert found["ece"] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("label", "undefined"),
    [([0, 0, 0], {"roc_auc", "pr_auc", "lift_at_10"}), ([1, 1, 1], {"roc_auc"}), ([], set(METRICS))],
)
def test_what_is_not_defined_is_nan(label, undefined):
    found = probability_metrics(np.array(label, np.int8), np.linspace(0.1, 0.9, len(label)))
    assert {name for name, value in found.items() if np.isnan(value)} == undefined


def test_no_weight_at_all_is_nan():
    found = probability_metrics(np.array([0, 1], np.int8), np.array([0.2, 0.7]), np.zeros(2, np.int64))
    assert all(np.isnan(value) for value in found.values())


def test_rank_metrics_are_exact_for_integer_weights():
    label = np.array([1, 0, 1, 0], np.int8)
    ranking = Ranking.of(label, np.array([0.9, 0.8, 0.7, 0.6]))
    auc, precision, _ = rank_metrics(ranking, np.array([1, 1, 1, 1])[ranking.order])
    assert auc == 0.75
    assert precision == pytest.approx((1 + 2 / 3) / 2)
