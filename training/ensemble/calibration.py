"""Fit how a combined probability is corrected; applying it is `combine.calibrate`."""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from training.ensemble.combine import Calibration, log_odds
from training.ensemble.levelled_regression import fit_levelled

__all__ = ["METHODS", "Method", "fit_calibration"]

Method = Literal["none", "platt", "beta", "isotonic"]
METHODS: tuple[Method, ...] = get_args(Method)
Floats = NDArray[np.float64]


def fit_calibration(
    method: Method, probability: Floats, label: NDArray[Any], anchor_us: NDArray[np.int64]
) -> Calibration:
    """Fit a correction of `probability` (shape (n,)) to `label` on past dates.

    Platt and beta find their slopes with each date at its own level, and an intercept at the pooled one. Isotonic
    regression takes the dates together.
    """
    if method == "none":
        return Calibration()
    if method == "isotonic":
        return _fit_isotonic(probability, label)
    margin = log_odds(probability)
    if method == "platt":
        slopes, intercept = fit_levelled(margin[:, None], label, anchor_us)
        return Calibration("platt", slope=float(slopes[0]), intercept=intercept)
    both = np.stack([-np.logaddexp(0, -margin), np.logaddexp(0, margin)], axis=1)  # ln p and -ln(1 - p)
    slopes, intercept = fit_levelled(both, label, anchor_us)
    return Calibration("beta", slope=float(slopes[0]), slope_other=float(slopes[1]), intercept=intercept)


def _fit_isotonic(probability: Floats, label: NDArray[Any]) -> Calibration:
    # A block without a buyer would answer 0, and the first buyer in it would cost without bound.
    rare = 1.0 / (len(label) + 2)
    steps = IsotonicRegression(y_min=rare, y_max=1 - rare, out_of_bounds="clip").fit(probability, label)
    return Calibration("isotonic", x=tuple(steps.X_thresholds_.tolist()), y=tuple(steps.y_thresholds_.tolist()))
