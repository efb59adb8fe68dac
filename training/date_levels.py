"""The level of demand on each anchor date, apart from what tells customers from each other.

How many of all customers buy in a given week moves with holidays, weather and gaps in the log: by a factor of four
between neighbouring weeks of a real supermarket. No customer's history tells it, and a model that meets it unprepared
explains it by whatever else differs between the weeks. So members are fitted with one free level (an intercept on the
log-odds) per anchor date, and predict at the pooled level: what the dates were like on average.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit, logit

__all__ = ["SPREAD", "date_codes", "date_levels", "levelled_log_loss", "pooled_level"]

Floats = NDArray[np.float64]
# Standard deviation of a level around the common one, in log-odds: dates with few anchors are drawn to it.
SPREAD = 0.5
FAR = 25.0
MOST_STEPS = 100
# After so small a step of Newton's the error is about its square: nothing, in float64.
CLOSE = 1e-8


def date_codes(anchor_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the anchor dates 0, 1, ... in order of time, and return each anchor's; shape (n,)."""
    return np.unique(anchor_us, return_inverse=True)[1].astype(np.int64)


def date_levels(margin: Floats, label: NDArray[Any], codes: NDArray[np.int64]) -> Floats:
    """Return the level of each date: what to add to the log-odds `margin` so that it expects as many buyers as came.

    Args:
        margin: log-odds that tell customers from each other, shape (n,).
        label: 0 or 1, shape (n,).
        codes: number of each anchor's date, from `date_codes`.

    Returns:
        float64 of shape (dates,): the most likely levels under a normal prior of standard deviation `SPREAD`
        around the level that all dates have in common.
    """
    buyers, rows, weight = np.bincount(codes, label).astype(np.float64), np.bincount(codes), None
    if len(margin) and (margin == margin[0]).all():  # nothing tells customers apart so far: a date is one row, so often
        margin, rows, weight = np.full(len(rows), margin[0]), np.ones_like(rows), rows.astype(np.float64)
    elif (codes[1:] < codes[:-1]).any():
        margin = margin[np.argsort(codes, kind="stable")]
    common = _solve(margin, rows.sum(keepdims=True), buyers.sum(keepdims=True), np.zeros(1), 1e-9, weight)
    return _solve(margin, rows, buyers, np.full(len(buyers), common[0]), SPREAD**-2, weight)


def pooled_level(margin: Floats, levels: Floats) -> float:
    """Return the one level at which `margin` expects as many buyers as on average over `levels`.

    This is not the mean of the levels: a probability is what it is on average over dates, and the logistic function
    is not linear.
    """
    expected = np.array([_logistic(margin + level).sum() for level in levels]).mean()
    level = _solve(margin, np.array([len(margin)]), np.array([expected]), levels.mean(keepdims=True), 1e-9)
    return float(level[0])


def levelled_log_loss(probability: Floats, label: NDArray[Any], anchor_us: NDArray[np.int64]) -> float:
    """Return the mean log loss of `probability` after each date got its own level: how well customers are told apart.

    A forecast cannot reach it, for the level is not known in advance; two forecasts of the same dates are compared
    by it without the luck of the level.
    """
    margin, codes = logit(np.clip(probability, 1e-12, 1 - 1e-12)), date_codes(anchor_us)
    margin = margin + date_levels(margin, label, codes)[codes]
    return float(-np.where(label == 1, log_expit(margin), log_expit(-margin)).mean())


def _solve(
    margin: Floats,
    rows: NDArray[np.int64],
    buyers: Floats,
    prior: Floats,
    precision: float,
    weight: Floats | None = None,
) -> Floats:
    """Find the level of each group at which its expected number of buyers, and the pull of the prior, balance.

    A group is the next so many `rows` of `margin`, at least one: sums over neighbours cost a tenth of sums by code.
    `weight` says how many anchors each row stands for; None: one.

    Newton's steps, halved into the bracket where they leave it: four or five passes over the data.
    """
    starts = np.cumsum(rows) - rows
    low, high, level = np.full(len(rows), -FAR), np.full(len(rows), FAR), prior.copy()
    for _ in range(MOST_STEPS):
        rate = _logistic(margin + np.repeat(level, rows))
        expected = rate if weight is None else rate * weight
        excess = np.add.reduceat(expected, starts) - buyers + precision * (level - prior)
        slope = np.add.reduceat(expected * (1 - rate), starts) + precision
        low, high = np.where(excess < 0, level, low), np.where(excess < 0, high, level)
        newton = level - excess / slope
        step = np.where((newton >= low) & (newton <= high), newton, (low + high) / 2) - level
        level = level + step
        if np.abs(step).max() < CLOSE:
            break
    return level


def _logistic(margin: Floats) -> Floats:
    """Return the probability at these log-odds: as `scipy.special.expit`, in a third of its time."""
    with np.errstate(over="ignore"):  # where exp is infinite the probability is the 0 that it rounds to
        return 1 / (1 + np.exp(-margin))
