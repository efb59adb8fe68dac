import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from training.ensemble.calibration import METHODS, fit_calibration, recent_level
from training.ensemble.combine import calibrate

ONE_DATE = np.zeros(20_000, np.int64)


@pytest.fixture(scope="module")
def forecast():
    """Probabilities that are twice too sure and too low, and what happened."""
    random = np.random.default_rng(0)
    margin = random.normal(-1.5, 1, 20_000)
    return expit(2 * margin + 0.5), (random.random(20_000) < expit(margin)).astype(np.int8)


def test_platt_is_logistic_regression_on_log_odds(forecast):
    p, label = forecast
    found = fit_calibration("platt", p, label, ONE_DATE)
    oracle = LogisticRegression(C=1e6, tol=1e-10).fit(logit(p)[:, None], label)
    assert found.slope == pytest.approx(oracle.coef_[0, 0], rel=1e-3)
    assert found.intercept == pytest.approx(oracle.intercept_[0], abs=1e-3)
    np.testing.assert_allclose(calibrate(found, p), oracle.predict_proba(logit(p)[:, None])[:, 1], atol=1e-4)


def test_beta_is_logistic_regression_on_both_logarithms(forecast):
    p, label = forecast
    found = fit_calibration("beta", p, label, ONE_DATE)
    both = np.stack([np.log(p), -np.log1p(-p)], axis=1)
    oracle = LogisticRegression(C=1e6, tol=1e-10, max_iter=1000).fit(both, label)
    assert (oracle.coef_ > 0).all()
    np.testing.assert_allclose(calibrate(found, p), oracle.predict_proba(both)[:, 1], atol=2e-3)


def test_isotonic_is_isotonic_regression(forecast):
    p, label = forecast
    found = fit_calibration("isotonic", p, label, ONE_DATE)
    oracle = IsotonicRegression(out_of_bounds="clip").fit(p, label)
    np.testing.assert_allclose(calibrate(found, p), oracle.predict(p), atol=1e-4)
    assert (np.diff(calibrate(found, np.linspace(0, 1, 1000))) >= 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_monotone_and_inside(forecast, method):
    p, label = forecast
    grid = np.linspace(0, 1, 501)
    corrected = calibrate(fit_calibration(method, p, label, ONE_DATE), grid)
    assert (np.diff(corrected) >= -1e-12).all()
    assert ((corrected > 0) & (corrected < 1)).all()


@pytest.mark.parametrize("method", ["platt", "beta", "isotonic"])
def test_corrects_what_was_wrong(forecast, method):
    p, label = forecast
    corrected = calibrate(fit_calibration(method, p, label, ONE_DATE), p)
    for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 1)):
        inside = (corrected >= low) & (corrected < high)
        assert label[inside].mean() == pytest.approx(corrected[inside].mean(), abs=0.02)


def test_levels_of_dates_do_not_bend_the_slope():
    """Two dates of very different demand: each well told apart, so the slope is 1."""
    random = np.random.default_rng(1)
    margin, dates = random.normal(-1, 1, 40_000), np.repeat([0, 1], 20_000)
    label = (random.random(40_000) < expit(margin + np.where(dates, 1.0, -1.0))).astype(np.int8)
    assert fit_calibration("platt", expit(margin), label, dates).slope == pytest.approx(1.0, abs=0.05)


def test_slopes_are_not_negative():
    random = np.random.default_rng(2)
    p, label = random.random(5000), random.random(5000)
    found = fit_calibration("platt", p, (label > p).astype(np.int8), np.zeros(5000, np.int64))
    assert found.slope == 0.0


def test_beta_against_a_direct_search(forecast):
    p, label = forecast
    found = fit_calibration("beta", p, label, ONE_DATE)

    def loss(x):
        q = np.clip(expit(x[0] * np.log(p) - x[1] * np.log1p(-p) + x[2]), 1e-12, 1 - 1e-12)
        return -np.log(np.where(label == 1, q, 1 - q)).mean()

    best = minimize(loss, [1.0, 1.0, 0.0], method="Nelder-Mead", options={"maxiter": 2000, "fatol": 1e-10}).fun
    assert loss([found.slope, found.slope_other, found.intercept]) == pytest.approx(best, abs=1e-6)


def test_the_recent_level_follows_demand_that_drifts_and_leaves_the_slope():
    random, dates = np.random.default_rng(3), np.repeat(np.arange(6) * 7, 8000)
    margin, level = random.normal(-1.5, 1, len(dates)), np.where(dates >= 28, 0.6, -0.6)
    label = (random.random(len(dates)) < expit(margin + level)).astype(np.int8)
    found = fit_calibration("recent", expit(margin), label, dates)
    # Weights 1, 1/2, 1/4, ... of the newest dates, and 1 for no change.
    weights = 0.5 ** np.arange(6)
    expected = 0.6 * (weights * [1, 1, -1, -1, -1, -1]).sum() / (weights.sum() + 1)
    assert (found.method, found.slope) == ("platt", 1.0)
    assert found.intercept == pytest.approx(expected, abs=0.05)
    everything = fit_calibration("platt", expit(margin), label, dates)
    assert everything.intercept < 0 < found.intercept


def test_the_recent_level_of_a_steady_forecast_is_no_change():
    random, dates = np.random.default_rng(4), np.repeat(np.arange(6), 8000)
    margin = random.normal(-1.5, 1, len(dates))
    label = (random.random(len(dates)) < expit(margin)).astype(np.int8)
    assert recent_level(margin, label, dates) == pytest.approx(0.0, abs=0.03)
