"""Fit how a combined probability is corrected; applying it is `combine.calibrate`."""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from training.date_levels import date_codes, date_levels
from training.ensemble.combine import Calibration, log_odds
from training.ensemble.levelled_regression import fit_levelled

__all__ = ["METHODS", "Method", "fit_calibration", "recent_level"]

Method = Literal["none", "recent", "platt", "beta", "isotonic"]
METHODS: tuple[Method, ...] = get_args(Method)
Floats = NDArray[np.float64]
# A date counts half of the next one. No change at all counts as much as one date that is one older than the newest:
# levels go back to what they usually are.
OLDER_DATE, NO_CHANGE = 0.5, 1.0


def fit_calibration(
    method: Method, probability: Floats, label: NDArray[Any], anchor_us: NDArray[np.int64]
) -> Calibration:
    """Fit a correction of `probability` (shape (n,)) to `label` on past dates.

    Platt and beta find their slopes with each date at its own level, and an intercept at the pooled one. Isotonic
    regression takes the dates together. Where demand drifts, an average over all dates is behind: "recent" leaves the
    slope and moves the level to that of the newest dates (`recent_level`).
    """
    if method == "none":
        return Calibration()
    if method == "isotonic":
        return _fit_isotonic(probability, label)
    margin = log_odds(probability)
    if method == "recent":
        return Calibration("platt", slope=1.0, intercept=recent_level(margin, label, anchor_us))
    if method == "platt":
        slopes, intercept = fit_levelled(margin[:, None], label, anchor_us)
        return Calibration("platt", slope=float(slopes[0]), intercept=intercept)
    both = np.stack([-np.logaddexp(0, -margin), np.logaddexp(0, margin)], axis=1)  # ln p and -ln(1 - p)
    slopes, intercept = fit_levelled(both, label, anchor_us)
    return Calibration("beta", slope=float(slopes[0]), slope_other=float(slopes[1]), intercept=intercept)


def recent_level(margin: Floats, label: NDArray[Any], anchor_us: NDArray[np.int64]) -> float:
    """Return what to add to the log-odds `margin` (shape (n,)) on the date that follows those of `anchor_us`.

    A mean of the dates' levels that forgets: exponential smoothing, with a pull to no change.

    Source: Brown 1959, "Statistical Forecasting for Inventory Control"; Holt 1957 (exponentially weighted averages).
    """
    levels = date_levels(margin, label, date_codes(anchor_us))
    weights = OLDER_DATE ** np.arange(len(levels))[::-1]
    return float((weights * levels).sum() / (weights.sum() + NO_CHANGE))


def _fit_isotonic(probability: Floats, label: NDArray[Any]) -> Calibration:
    # A block without a buyer would answer 0, and the first buyer in it would cost without bound.
    rare = 1.0 / (len(label) + 2)
    steps = IsotonicRegression(y_min=rare, y_max=1 - rare, out_of_bounds="clip").fit(probability, label)
    return Calibration("isotonic", x=tuple(steps.X_thresholds_.tolist()), y=tuple(steps.y_thresholds_.tolist()))
