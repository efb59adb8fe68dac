"""Logistic regression with weights that are not negative and one level per anchor date.

What tells customers from each other is fitted apart from how many buy in a given week; levels are pooled at the end.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from training.date_levels import date_codes, date_levels, pooled_level

__all__ = ["fit_levelled"]

Floats = NDArray[np.float64]
# Keeps two members that say the same from getting arbitrary shares; one anchor's worth of evidence each.
RIDGE = 1.0


def fit_levelled(table: Floats, label: NDArray[Any], anchor_us: NDArray[np.int64]) -> tuple[Floats, float]:
    """Return weights, float64 of shape (columns,), each >= 0, and the intercept at the pooled level.

    Args:
        table: regressors on the scale of log-odds, shape (n, columns).
        label: 0 or 1, shape (n,).
        anchor_us: date of each row, shape (n,).
    """
    codes = date_codes(anchor_us)
    columns, dates = table.shape[1], int(codes.max()) + 1
    start = np.concatenate([np.full(columns, 1 / columns), np.zeros(dates)])

    def loss(parameters: Floats) -> tuple[float, Floats]:
        weights, levels = parameters[:columns], parameters[columns:]
        margin = table @ weights + levels[codes]
        wrong = expit(margin) - label
        value = -np.where(label == 1, log_expit(margin), log_expit(-margin)).sum() + RIDGE / 2 * (weights**2).sum()
        gradient = np.concatenate([table.T @ wrong + RIDGE * weights, np.bincount(codes, wrong, dates)])
        return value / len(label), gradient / len(label)

    bounds = [(0.0, None)] * columns + [(None, None)] * dates
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500, "ftol": 1e-12})
    weights = np.asarray(found.x[:columns], np.float64)
    margin = table @ weights
    return weights, pooled_level(margin, date_levels(margin, label, codes))
