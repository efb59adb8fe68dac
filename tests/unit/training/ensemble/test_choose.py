import json

import numpy as np
import pytest
from scipy.special import expit

from training.ensemble.choose import choose
from training.ensemble.clustered_error import clustered_error
from training.ensemble.combine import combine
from training.ensemble.fit_weights import fit_weights
from training.ensemble.forward_predictions import DAY_US, Forward

DATES = 5


def forward(members, demand=(0.0,) * DATES, rows=2500, seed=0):
    """Members see the truth through noise, and know how much of it there is: name → its standard deviation.

    A function of the truth instead of a number is the member's log-odds.
    """
    random = np.random.default_rng(seed)
    truth = random.normal(-1.5, 1, rows * DATES)
    date = np.repeat(np.arange(DATES), rows)
    label = (random.random(len(truth)) < expit(truth + np.asarray(demand)[date])).astype(np.int8)
    users = np.tile(np.array([f"customer {i}" for i in range(rows)], object), DATES)
    probabilities = {
        name: expit(see(truth) if callable(see) else noisy(random, truth, see)) for name, see in members.items()
    }
    return Forward(users, date * 7 * DAY_US, label, probabilities)


def noisy(random, truth, deviation):
    seen = truth + 1.5 + random.normal(0, deviation, len(truth))
    return -1.5 + seen / (1 + deviation**2)


def constant(truth):
    return np.full(len(truth), -1.4)


def test_two_members_that_err_apart_are_averaged():
    found = fit_weights("mean", forward({"a": 0.7, "b": 0.7, "rate": constant}))
    assert (found.method, found.weights) == ("mean", (0.5, 0.5, 0.0))


def test_what_does_not_help_gets_weight_0():
    data = forward({"good": 0.1, "noise": 3.0, "rate": constant})
    for method in ("best_member", "mean", "log_odds", "stacker"):
        weights = dict(zip(data.probabilities, fit_weights(method, data).weights, strict=True))
        assert weights["good"] > 0.6
        assert weights["rate"] == 0
        assert weights["noise"] == 0


def test_a_constant_that_was_fitted_anew_at_each_origin_gets_weight_0():
    data = forward({"good": 0.3, "rate": constant})
    moving = np.where(data.anchor_us > data.anchor_us.min(), 0.2, 0.25)
    data = Forward(data.user_id, data.anchor_us, data.label, data.probabilities | {"rate": moving})
    for method in ("best_member", "mean", "log_odds", "stacker"):
        assert dict(zip(data.probabilities, fit_weights(method, data).weights, strict=True))["rate"] == 0


def test_a_plain_mean_is_kept_when_the_weeks_differ_at_random():
    choice = choose(forward({"a": 0.5, "b": 0.5}, demand=(-1.0, 0.6, 0.8, -0.4, 0.5)), 7)
    assert choice.ensemble.calibration.method == "none"
    assert choice.ensemble.method == "mean"


@pytest.mark.parametrize(("sure", "method"), [(2.0, {"platt", "beta", "isotonic"}), (1.0, {"none"})])
def test_recalibrates_only_members_that_are_too_sure(sure, method):
    choice = choose(forward({"a": lambda truth: sure * truth}), 7)
    used = {choice.ensemble.calibration.method}
    # A stacker without a calibration corrects the slope as well.
    assert used <= method or (sure > 1 and choice.ensemble.method == "stacker")


def test_demand_that_goes_on_drifting_is_met_by_the_level_of_the_newest_dates():
    choice = choose(forward({"a": 0.3}, demand=(0.0, 0.5, 1.0, 1.5, 2.0)), 7)
    assert choice.calibration == "recent"
    assert choice.ensemble.calibration.slope == 1.0
    assert choice.ensemble.calibration.intercept > 0.2  # beside the intercept of the stacker, if it is one


def test_candidates_are_scored_on_dates_after_those_they_were_fitted_on():
    data = forward({"a": 0.5, "b": 0.5})
    choice = choose(data, 7)
    assert choice.scored_dates == [date * 7 * DAY_US for date in (2, 3, 4)]
    assert len(choice.candidates) == 4 * 5
    assert sum(candidate.chosen for candidate in choice.candidates) == 1
    losses = [candidate.log_loss for candidate in choice.candidates]
    assert losses == sorted(losses)
    for candidate in choice.candidates:
        assert len(candidate.by_date) == 3
        assert np.mean(candidate.by_date) == pytest.approx(candidate.log_loss)  # the dates have equally many rows


def test_of_one_member_nothing_is_listed_twice():
    choice = choose(forward({"a": 0.5}), 7)
    assert {candidate.combination for candidate in choice.candidates} == {"mean", "stacker"}
    assert len(choice.candidates) == 2 * 5
    assert len({candidate.by_date for candidate in choice.candidates if candidate.combination == "mean"}) == 5
    assert choice.way == ("mean", "none")


def test_labels_of_a_date_do_not_enter_its_own_score():
    """Turning all labels of the last date round changes its losses, but not what was fitted to predict it."""
    data = forward({"a": 0.3, "b": 0.3})
    last = data.anchor_us == data.anchor_us.max()
    turned = Forward(data.user_id, data.anchor_us, np.where(last, 1 - data.label, data.label), data.probabilities)
    plain = {(c.combination, c.calibration): c.log_loss for c in choose(data, 7).candidates}
    other = {(c.combination, c.calibration): c.log_loss for c in choose(turned, 7).candidates}
    scored = data.take(data.anchor_us >= 14 * DAY_US)
    mean = combine(fit_weights("mean", data), scored.probabilities)
    y = scored.anchor_us == data.anchor_us.max()
    change = np.where(scored.label == 1, np.log(mean / (1 - mean)), np.log((1 - mean) / mean))[y].sum() / len(scored)
    assert other["mean", "none"] - plain["mean", "none"] == pytest.approx(change, abs=1e-9)


def test_a_longer_horizon_keeps_labels_that_had_not_ended_out():
    assert choose(forward({"a": 0.5}), 14).scored_dates == [date * 7 * DAY_US for date in (3, 4)]


def test_one_date_gives_the_plain_mean_unseen():
    data = forward({"a": 0.5, "b": 0.5})
    choice = choose(data.take(data.anchor_us == 0), 7)
    assert choice.candidates == []
    assert choice.ensemble.method == "mean"


def test_candidates_are_json():
    data = forward({"a": 0.5})
    choice = choose(data.take(data.anchor_us <= 7 * DAY_US), 7)  # one scored date: its standard error is not known
    assert choice.scored_dates == [7 * DAY_US]
    json.dumps([candidate.to_json() for candidate in choice.candidates], allow_nan=False)


def test_all_members_alike_is_survived():
    data = forward({"a": constant, "b": constant})
    for method in ("best_member", "mean", "log_odds", "stacker"):
        p = combine(fit_weights(method, data), data.probabilities)
        assert np.isfinite(p).all()
        assert p.mean() == pytest.approx(0.2, abs=0.05)


def test_error_of_independent_values_is_the_textbook_one():
    values = np.random.default_rng(0).normal(size=1000)
    assert clustered_error(values, np.arange(1000)) == pytest.approx(values.std(ddof=1) / np.sqrt(1000), rel=1e-6)


def test_error_of_repeated_values_counts_the_groups():
    values = np.random.default_rng(0).normal(size=200)
    names = np.array([f"customer {i}" for i in range(200)], object)
    repeated = clustered_error(np.tile(values, 9), np.tile(names, 9))
    assert repeated == pytest.approx(clustered_error(values, names), rel=1e-6)


def test_error_of_one_group_is_not_known():
    assert clustered_error(np.ones(5), np.zeros(5)) == float("inf")
