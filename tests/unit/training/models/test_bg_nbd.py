"""The closed forms against numerical integration over the mixing distributions, and against a simulated shop."""

import numpy as np
import pytest
from scipy.stats import beta, gamma

from training.models.bg_nbd.model import Parameters, fit_parameters, log_likelihood, probability

SHOP = Parameters(r=0.8, alpha=12.0, a=0.9, b=2.5)
CUSTOMERS = [(0, 0.0, 5.0), (0, 0.0, 60.0), (1, 4.0, 40.0), (3, 30.0, 35.0), (6, 20.0, 90.0)]


def integrated(function):
    """Return the mean of `function(rate, leave)` over the customers of SHOP, by Gauss-Legendre quadrature."""
    node, weight = np.polynomial.legendre.leggauss(600)
    # Substituting by quantiles takes the poles of the densities out of the integral.
    rate, leave = gamma(SHOP.r, scale=1 / SHOP.alpha).ppf((node + 1) / 2), beta(SHOP.a, SHOP.b).ppf((node + 1) / 2)
    return weight / 2 @ function(rate[:, None], leave[None]) @ weight / 2


def individual(x, t_x, until, rate, leave):
    """Likelihood of x repeat purchases, the last at t_x and none until `until`: still a customer, or gone at t_x."""
    stays = (1 - leave) ** x * rate**x * np.exp(-rate * until)
    gone = leave * (1 - leave) ** (x - 1) * rate**x * np.exp(-rate * t_x) if x else 0.0
    return stays + gone


@pytest.mark.parametrize(("x", "t_x", "seen"), CUSTOMERS)
def test_likelihood_is_the_integral_over_customers(x, t_x, seen):
    found = np.exp(log_likelihood(SHOP, np.array([x]), np.array([t_x]), np.array([seen])))[0]
    assert found == pytest.approx(integrated(lambda rate, leave: individual(x, t_x, seen, rate, leave)), rel=1e-3)


@pytest.mark.parametrize(("x", "t_x", "seen"), CUSTOMERS)
def test_probability_is_the_ratio_of_integrals(x, t_x, seen):
    found = probability(SHOP, np.array([x]), np.array([t_x]), np.array([seen]), 7.0)[0]
    none = integrated(lambda rate, leave: individual(x, t_x, seen + 7.0, rate, leave))
    all_ = integrated(lambda rate, leave: individual(x, t_x, seen, rate, leave))
    assert found == pytest.approx(1 - none / all_, abs=2e-4)


def simulate(customers, horizon, seed=0):
    """Return x, t_x, T, and whether a purchase falls into (T, T + horizon], from the story of the model itself."""
    random = np.random.default_rng(seed)
    rate, leave = random.gamma(SHOP.r, 1 / SHOP.alpha, customers), random.beta(SHOP.a, SHOP.b, customers)
    seen = random.uniform(10, 120, customers)
    x, t_x, now = np.zeros(customers), np.zeros(customers), np.zeros(customers)
    buys, here = np.zeros(customers, bool), np.ones(customers, bool)
    while here.any():
        now = np.where(here, now + random.exponential(1 / rate), now)
        before, after = here & (now <= seen), here & (now > seen)
        x, t_x = np.where(before, x + 1, x), np.where(before, now, t_x)
        buys |= after & (now <= seen + horizon)
        here = before & (random.random(customers) > leave)
    return x, t_x, seen, buys


def test_parameters_of_a_simulated_shop_are_found_again():
    x, t_x, seen, _ = simulate(60_000, 7.0)
    found = fit_parameters(x, t_x, seen)
    assert found.r == pytest.approx(SHOP.r, rel=0.06)
    assert found.alpha == pytest.approx(SHOP.alpha, rel=0.08)
    assert found.a / (found.a + found.b) == pytest.approx(SHOP.a / (SHOP.a + SHOP.b), rel=0.05)


def test_probabilities_are_calibrated_on_a_simulated_shop():
    x, t_x, seen, buys = simulate(200_000, 14.0, seed=1)
    p = probability(SHOP, x, t_x, seen, 14.0)
    for low, high in ((0, 0.05), (0.05, 0.15), (0.15, 0.3), (0.3, 0.6), (0.6, 1.0)):
        inside = (p >= low) & (p < high)
        error = np.sqrt(p[inside].mean() / inside.sum())
        assert buys[inside].mean() == pytest.approx(p[inside].mean(), abs=4 * error)


def test_long_histories_do_not_overflow():
    p = probability(SHOP, np.array([5000.0, 5000.0]), np.array([10.0, 9999.0]), np.array([1e4, 1e4]), 7.0)
    assert np.isfinite(p).all()
    assert p[0] < 1e-6
    assert p[1] > 0.7


def test_a_longer_horizon_and_a_later_purchase_raise_the_probability():
    x, seen = np.full(3, 4.0), np.full(3, 60.0)
    by_last = probability(SHOP, x, np.array([10.0, 40.0, 59.0]), seen, 7.0)
    assert (np.diff(by_last) > 0).all()
    assert (probability(SHOP, x, seen, seen, 30.0) > probability(SHOP, x, seen, seen, 7.0)).all()


def test_a_shop_where_nobody_repeats_is_survived():
    found = fit_parameters(np.zeros(100), np.zeros(100), np.linspace(1, 50, 100))
    assert np.isfinite([found.r, found.alpha, found.a, found.b]).all()
    assert probability(found, np.zeros(1), np.zeros(1), np.full(1, 20.0), 7.0)[0] < 0.05
