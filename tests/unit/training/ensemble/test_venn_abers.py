"""Intervals for a rate: against isotonic regression of the enlarged sample, and against dates that were not seen."""

import json

import numpy as np
import pytest
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from training.ensemble.combine import Ensemble, interval
from training.ensemble.venn_abers import fit_interval, interval_coverage, venn_abers

DAY = 86_400_000_000


def one_date(rows=400, seed=0, level=0.0):
    random = np.random.default_rng(seed)
    margin = random.normal(-1, 1, rows)
    return expit(margin).round(2), (random.random(rows) < expit(margin + level)).astype(np.int8)


def dates(levels, rows=400):
    found = [one_date(rows, seed, level) for seed, level in enumerate(levels)]
    anchor = np.repeat(np.arange(len(levels)) * 7 * DAY, rows)
    return np.concatenate([p for p, _ in found]), np.concatenate([y for _, y in found]), anchor


def test_they_are_isotonic_regressions_of_the_sample_with_one_more_row():
    p, label = one_date()
    at = np.array([0.0, 0.13, 0.2, 0.205, 0.5, 0.99])
    low, high = venn_abers(p, label, at)
    for place, point in enumerate(at):
        for side, new in ((low, 0), (high, 1)):
            fitted = IsotonicRegression().fit(np.append(p, point), np.append(label, new))
            assert side[place] == pytest.approx(fitted.predict([point])[0], abs=1e-12)
    assert (low <= high).all()
    assert (np.diff(low) >= -1e-12).all()
    assert (np.diff(high) >= -1e-12).all()


def test_the_rate_lies_between_the_two_on_average():
    """One of the two is perfectly calibrated: over many new rows the rate is between their means."""
    p, label = one_date(2000, seed=3)
    new_p, new_label = one_date(20_000, seed=4)
    at, place = np.unique(new_p, return_inverse=True)
    low, high = (side[place] for side in venn_abers(p, label, at))
    assert low.mean() - 0.02 <= new_label.mean() <= high.mean() + 0.02


def test_a_new_date_is_covered_as_often_as_it_says():
    """Levels of dates are drawn at random; the interval of six dates holds a seventh's rates 5 times in 7 or more."""
    random = np.random.default_rng(1)
    shares, nominal = [], None
    for _ in range(12):
        p, label, anchor = dates(random.normal(0, 0.4, 7), rows=1500)
        seen = anchor < anchor.max()
        band = fit_interval(p[seen], label[seen], anchor[seen])
        sides = interval(Ensemble("mean", (), (), interval=band), p[~seen])
        shares.append(interval_coverage(p[~seen], label[~seen], *sides, anchor[~seen]))
        nominal = band.nominal
    assert nominal == pytest.approx(5 / 7)
    assert np.mean(shares) >= nominal


def test_the_probability_lies_inside_and_the_bundle_keeps_it():
    p, label, anchor = dates([2.0, 2.0, 2.0])
    band = fit_interval(p, label, anchor)
    ensemble = Ensemble("mean", ("a",), (1.0,), interval=band)
    again = Ensemble.from_json(json.loads(json.dumps(ensemble.to_json(), allow_nan=False)))
    assert again == ensemble
    asked = np.array([1e-6, 0.2, 0.5, 1 - 1e-6])
    low, high = interval(again, asked)
    assert ((low <= asked) & (asked <= high)).all()
    assert (high - low).max() > 0.1


def test_too_little_gives_none():
    p, label, anchor = dates([0.0], rows=40)
    assert fit_interval(p, np.zeros_like(label), anchor) is None
    assert interval(Ensemble("mean", (), ()), p) is None
    old = Ensemble("mean", ("a",), (1.0,)).to_json()
    del old["interval"]
    assert Ensemble.from_json(old) == Ensemble("mean", ("a",), (1.0,))
    p, label, anchor = dates([0.0, 0.1])
    assert fit_interval(p, label, anchor).dates == 2
