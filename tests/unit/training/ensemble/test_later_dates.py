"""Coverage out of time: what a date is judged by was fitted on earlier ones, weights and correction included."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from training.ensemble.choose import Candidate, Choice, choose, fit_ensemble
from training.ensemble.combine import Ensemble, combine, interval
from training.ensemble.forward_predictions import DAY_US, Forward
from training.ensemble.later_dates import coverage_of_later_dates
from training.ensemble.venn_abers import fit_interval, interval_coverage

HORIZON = 7
WAY = ("log_odds", "platt")


def forward(levels, rows=400, slope=1.0):
    """Two members see log-odds through noise, `slope` times too steep; each date has a level of its own."""
    random = np.random.default_rng(4)
    margin = random.normal(-1, 1, rows * len(levels))
    label = (random.random(len(margin)) < expit(margin + np.repeat(levels, rows))).astype(np.int8)
    seen = {name: expit(slope * margin + random.normal(0, noise, len(margin))) for name, noise in NOISE.items()}
    users = np.tile(np.array([f"customer {row}" for row in range(rows)], object), len(levels))
    return Forward(users, np.repeat(np.arange(len(levels)), rows) * 7 * DAY_US, label, seen)


NOISE = {"sharp": 0.2, "blunt": 1.5}


def chosen(data, way=WAY):
    return Choice(fit_ensemble(*way, data), [Candidate(*way, 0.4, -0.01, 0.001, chosen=True)], [])


def test_each_date_meets_what_was_fitted_on_the_dates_before_it():
    data = forward([0.0, 0.4, -0.4, 0.2, 0.0], slope=2.0)
    shares, widths = [], []
    for number in (2, 3, 4):
        past, later = data.take(data.anchor_us < number * 7 * DAY_US), data.take(data.anchor_us == number * 7 * DAY_US)
        ensemble = fit_ensemble(*WAY, past)
        band = fit_interval(combine(ensemble, past.probabilities), past.label, past.anchor_us)
        p = combine(ensemble, later.probabilities)
        low, high = interval(replace(ensemble, interval=band), p)
        shares.append(interval_coverage(p, later.label, low, high, later.anchor_us))
        widths.append((high - low).mean())
    found = coverage_of_later_dates(chosen(data), data, HORIZON)
    assert found.dates == 3
    assert found.coverage == pytest.approx(np.mean(shares))
    assert found.mean_width == pytest.approx(np.mean(widths))
    assert found.nominal == pytest.approx(np.mean([1 / 3, 2 / 4, 3 / 5]))
    json.dumps(found.to_json(), allow_nan=False)


def test_the_ensemble_of_all_dates_has_no_part_in_it():
    """Turning the last date's labels round changes the ensemble, and only how that date is covered."""
    data = forward([0.0, 0.4, -0.4, 0.2])
    last = data.anchor_us == data.anchor_us.max()
    turned = Forward(data.user_id, data.anchor_us, np.where(last, 1 - data.label, data.label), data.probabilities)
    assert chosen(turned).ensemble != chosen(data).ensemble
    plain, other = (coverage_of_later_dates(chosen(one), one, HORIZON) for one in (data, turned))
    assert other.mean_width == pytest.approx(plain.mean_width, abs=1e-12)
    alone = coverage_of_later_dates(chosen(data), data.take(~last), HORIZON)
    assert 2 * other.coverage == pytest.approx(alone.coverage, abs=0.2)  # nothing of the turned date is covered
    strange = Choice(Ensemble("mean", ("sharp", "blunt"), (0.0, 1.0)), chosen(data).candidates, [])
    assert coverage_of_later_dates(strange, data, HORIZON) == plain


def test_labels_that_had_not_ended_keep_a_date_out():
    data = forward([0.0, 0.4, -0.4, 0.2, 0.0])
    assert coverage_of_later_dates(chosen(data), data, 14).dates == 2
    assert coverage_of_later_dates(chosen(data), data, 21).dates == 1


def test_strange_dates_are_not_covered():
    usual, strange = forward([0.0, 0.4, -0.4, 0.0]), forward([0.0, 0.4, -0.4, 3.0])
    found = [coverage_of_later_dates(chosen(data), data, HORIZON).coverage for data in (usual, strange)]
    assert found[1] < found[0] - 0.2


def test_too_few_dates_give_none():
    assert coverage_of_later_dates(chosen(forward([0.0, 0.1])), forward([0.0, 0.1]), HORIZON) is None
    rare = forward([0.0, 0.0, 0.0], rows=40)
    rare = Forward(rare.user_id, rare.anchor_us, np.zeros_like(rare.label), rare.probabilities)
    assert coverage_of_later_dates(Choice(Ensemble("mean", (), ()), [], []), rare, HORIZON) is None


def test_a_choice_that_nothing_was_scored_for_is_the_plain_mean():
    data = forward([0.0])
    assert choose(data, HORIZON).way == ("mean", "none")
