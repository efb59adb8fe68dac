"""Class weights: both classes count the same in a fit; its probabilities are those of the population all the same."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from tests.simulated_examples import HORIZON_DAYS, simulated_examples
from training.date_levels import levelled_log_loss
from training.models import member, member_names
from training.models.class_weights import class_weights, correct_prior_shift, prior_shift
from training.models.contract import FitSettings

WEIGHTED = [
    name for name in member_names() if "class_weights" in {parameter.name for parameter in member(name).parameters}
]
# All networks share one training loop: one over a sequence is enough in a hurry.
IN_A_HURRY = ("boosted_trees", "logistic_regression", "mlp", "sequence_lstm")
FITTED = (*IN_A_HURRY, "sequence_gru", "sequence_transformer")
# Enough for a network to have learnt something; a member takes of it what it has.
SMALL = {"epochs": 8, "hidden": 8, "batch": 128, "learning_rate": 0.01, "most_rounds": 150, "units": 8, "steps": 8}


@pytest.fixture(scope="module")
def periods():
    """A shop in which one anchor in ten is followed by a purchase: nine in ten of those that are go."""
    early, late = simulated_examples(2000)
    random = np.random.default_rng(4)
    return tuple(period.take((period.label == 0) | (random.random(len(period)) < 0.35)) for period in (early, late))


def marked(name):
    return pytest.param(name, marks=() if name in IN_A_HURRY else pytest.mark.slow)


@pytest.fixture(scope="module", params=map(marked, FITTED))
def fits(request, periods):
    """The member fitted as it is, and with weights."""
    declared = {parameter.name for parameter in member(request.param).parameters}
    told = FitSettings(HORIZON_DAYS, seed=2, parameters={k: v for k, v in SMALL.items() if k in declared})
    weighted = replace(told, parameters={**told.parameters, "class_weights": True})
    return [member(request.param).fit(*periods, one) for one in (told, weighted)]


def test_who_can_be_told_so():
    assert set(FITTED) <= set(WEIGHTED)


def test_probabilities_of_later_dates_keep_the_base_rate(fits, periods):
    rate = periods[1].label.mean()
    plain, weighted = (fitted.predict_proba(periods[1].features) for fitted in fits)
    assert np.std(logit(weighted) - logit(plain)) > 0.01  # the weights changed more than a level
    assert weighted.mean() == pytest.approx(plain.mean(), abs=0.1 * rate)
    assert weighted.mean() == pytest.approx(rate, abs=0.35 * rate)  # weeks differ by as much
    shift = prior_shift(class_weights(periods[0].label))
    assert expit(logit(weighted) + shift).mean() > 2.5 * rate  # what it would be without the way back


def test_log_loss_of_later_dates_is_not_ruined(fits, periods):
    late = periods[1]
    losses = []
    for fitted in fits:
        p = fitted.predict_proba(late.features)
        losses.append((loss(p, late.label), levelled_log_loss(p, late.label, late.anchor_us)))
    constant = loss(np.full(len(late), periods[0].label.mean()), late.label)
    for plain, weighted in zip(*losses, strict=True):
        assert weighted < plain + 0.006
    assert losses[1][0] < constant


def test_a_refit_weighs_as_the_fit_did(fits, periods):
    plain, weighted = (fitted.refit(periods[0], FitSettings(HORIZON_DAYS, seed=2)) for fitted in fits)
    first, second = (fitted.predict_proba(periods[1].features) for fitted in (plain, weighted))
    assert np.abs(first - second).max() > 1e-3
    assert second.mean() == pytest.approx(first.mean(), abs=0.1 * periods[1].label.mean())


def test_weights_are_taken_back_exactly():
    """The weighted loss of a constant is least at shifted log-odds; the way back gives the share of the ones."""
    label = np.repeat([0, 1], [90, 10])
    zero, one = class_weights(label)
    assert (zero * 90, one * 10) == (50, 50)
    weighted = np.average(label, weights=np.where(label == 1, one, zero))
    assert expit(correct_prior_shift(logit(weighted), (zero, one))) == pytest.approx(0.1, abs=1e-12)


def loss(p, label):
    return -np.log(np.where(label == 1, p, 1 - p)).mean()
