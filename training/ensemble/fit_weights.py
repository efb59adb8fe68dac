"""Fit how members are combined, on time-forward predictions."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit

from training.date_levels import date_codes, date_levels
from training.ensemble.combine import Ensemble, log_odds
from training.ensemble.forward_predictions import Forward
from training.ensemble.levelled_regression import fit_levelled

__all__ = ["METHODS", "Method", "fit_weights"]

Method = Literal["best_member", "mean", "log_odds", "stacker"]
METHODS: tuple[Method, ...] = get_args(Method)
Floats = NDArray[np.float64]
# A weight this small moves no decision, and costs computing its member for every request.
NEGLIGIBLE = 0.03


def fit_weights(method: Method, forward: Forward) -> Ensemble:
    """Fit a combination of all members of `forward`; members that do not help get weight 0.

    best_member: the one with the lowest loss. mean: members enter one by one, the most helpful first, as long as the
    loss falls, be it by little: which of two close members leads changes from week to week, and their mean varies
    less than either. Those that entered count the same. log_odds: a weighted mean of log-odds, weights from a
    regression. stacker: the regression itself. Losses are log losses with each anchor date at its own level of
    demand, since combining is about telling customers apart.

    Source: Clemen 1989, "Combining forecasts: a review and annotated bibliography", International Journal of
    Forecasting 5, 559-583 (equal weights are hard to beat, and combining helps where single forecasts are close).
    """
    members = tuple(forward.probabilities)
    if method in ("best_member", "mean"):
        chosen = _enter(forward, 1 if method == "best_member" else len(members))
        share = 1 / len(chosen)
        return Ensemble("mean", members, tuple(share if name in chosen else 0.0 for name in members))
    weights, intercept = _regress(forward, members)
    if method == "log_odds":
        return Ensemble("log_odds", members, tuple((weights / weights.sum()).tolist()))
    return Ensemble("stacker", members, tuple(weights.tolist()), intercept)


def _enter(forward: Forward, most: int) -> list[str]:
    """Choose members for a plain mean, greedily."""
    losses = {name: _losses(p, forward) for name, p in forward.probabilities.items()}
    chosen = [min(losses, key=lambda name: losses[name].mean())]
    best = losses[chosen[0]]
    while len(chosen) < most:
        tries = {
            name: _losses(np.mean([forward.probabilities[m] for m in (*chosen, name)], axis=0), forward)
            for name in losses
            if name not in chosen
        }
        name = min(tries, key=lambda candidate: tries[candidate].mean())
        if tries[name].mean() >= best.mean():
            break
        chosen.append(name)
        best = tries[name]
    return chosen


def _losses(probability: Floats, forward: Forward) -> Floats:
    margin, codes = log_odds(probability), date_codes(forward.anchor_us)
    margin = margin + date_levels(margin, forward.label, codes)[codes]
    return np.asarray(-np.where(forward.label == 1, log_expit(margin), log_expit(-margin)))


def _regress(forward: Forward, members: Sequence[str]) -> tuple[Floats, float]:
    """Fit weights of log-odds, then again without the members whose weight is negligible."""
    margins = np.stack([log_odds(forward.probabilities[name]) for name in members], axis=1)
    varies = _within_dates(margins, forward) > 1e-9  # a constant tells nobody apart; its level is the dates' business
    kept = varies if varies.any() else np.ones(len(members), np.bool_)
    for _ in range(2):
        weights = np.zeros(len(members))
        weights[kept], intercept = fit_levelled(margins[:, kept], forward.label, forward.anchor_us)
        helps = weights > NEGLIGIBLE * weights.sum()
        if not helps.any():  # nobody helps: all answer alike
            return np.full(len(members), 1 / len(members)), 0.0
        kept = helps
    return np.where(kept, weights, 0.0), intercept


def _within_dates(margins: Floats, forward: Forward) -> Floats:
    """Return how much each column varies among the anchors of a date, shape (columns,).

    A constant that was fitted anew at each origin differs between dates only.
    """
    codes = date_codes(forward.anchor_us)
    count = np.bincount(codes)
    means = np.stack([np.bincount(codes, column) / count for column in margins.T], axis=1)
    return np.asarray((margins - means[codes]).std(axis=0))
