import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit

from training.date_levels import SPREAD, date_codes, date_levels, levelled_log_loss, pooled_level


def shop(seed=0, dates=4, rows=5000):
    random = np.random.default_rng(seed)
    codes = random.integers(0, dates, rows)
    margin = random.normal(size=rows)
    truth = np.array([-2.0, -1.0, -3.0, 0.5])[:dates]
    return margin, (random.random(rows) < expit(margin + truth[codes])).astype(np.int8), codes, truth


def test_dates_are_numbered_in_order_of_time():
    assert date_codes(np.array([30, 10, 20, 10])).tolist() == [2, 0, 1, 0]


def test_levels_meet_the_truth():
    margin, label, codes, truth = shop(rows=200_000)
    np.testing.assert_allclose(date_levels(margin, label, codes), truth, atol=0.05)


def test_levels_solve_their_equation():
    margin, label, codes, _ = shop()
    levels = date_levels(margin, label, codes)
    common = brentq(lambda c: expit(margin + c).sum() - label.sum(), -20, 20)
    for date, level in enumerate(levels):
        mine = codes == date
        pull = (level - common) / SPREAD**2
        assert expit(margin[mine] + level).sum() + pull == pytest.approx(label[mine].sum(), abs=1e-6)


def test_equal_margins_are_solved_as_others_are():
    margin, label, codes, _ = shop()
    nearly_equal = np.where(np.arange(len(margin)) == 0, 0.3 + 1e-12, 0.3)
    levels = date_levels(np.full(len(margin), 0.3), label, codes)
    np.testing.assert_allclose(levels, date_levels(nearly_equal, label, codes), atol=1e-9)


def test_a_date_without_buyers_is_drawn_to_the_common_level():
    levels = date_levels(np.zeros(103), np.r_[np.repeat([0, 1], 50), 0, 0, 0], np.r_[np.zeros(100, int), 1, 1, 1])
    assert -1 < levels[1] < levels[0]


def test_extreme_margins_are_survived():
    levels = date_levels(np.array([40.0, -40.0, 40.0, -40.0]), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]))
    assert np.isfinite(levels).all()


def test_pooled_level_expects_the_mean_number_of_buyers():
    margin, levels = np.random.default_rng(3).normal(size=1000), np.array([-3.0, -1.0])
    level = pooled_level(margin, levels)
    expected = np.mean([expit(margin + each).mean() for each in levels])
    assert expit(margin + level).mean() == pytest.approx(expected, abs=1e-9)
    assert level > levels.mean()  # the logistic function is convex down there


def test_levelled_loss_does_not_see_the_level():
    margin, label, codes, _ = shop()
    far_off = levelled_log_loss(expit(margin + 1.5), label, codes)
    assert far_off == pytest.approx(levelled_log_loss(expit(margin), label, codes), abs=1e-9)


def test_levelled_loss_of_a_constant_is_the_entropy_of_each_date():
    label, codes = np.r_[np.repeat([0, 1], [8000, 2000]), np.repeat([0, 1], [5000, 5000])], np.repeat([0, 1], 10_000)
    entropy = np.mean([-(p * np.log(p) + (1 - p) * np.log(1 - p)) for p in (0.2, 0.5)])
    assert levelled_log_loss(np.full(20_000, expit(logit(0.3))), label, codes) == pytest.approx(entropy, abs=1e-5)
