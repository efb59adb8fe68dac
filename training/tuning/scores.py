"""What a trial is judged by: proper scores that are means over anchors, so that two trials can be compared in pairs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit

from feature_repo.errors import InputError
from training.date_levels import date_codes, date_levels
from training.ensemble.clustered_error import clustered_error
from training.ensemble.combine import log_odds

__all__ = ["SCORES", "Comparison", "anchor_scores", "compare", "require_score"]

SCORES = ("levelled_log_loss", "log_loss", "brier")
"""levelled_log_loss gives each date a level of demand of its own, which no setting can know (`date_levels.py`)."""

Floats = NDArray[np.float64]
Comparison = tuple[float, float]


def require_score(name: str) -> str:
    """Return `name`.

    Raises:
        InputError: it is not one of `SCORES`; they are listed.
    """
    if name not in SCORES:
        raise InputError(
            f"Metric {name!r} cannot judge a trial; expected one of {', '.join(SCORES)}: proper scores, the lower the "
            "better. Correct the name after --metric."
        )
    return name


def anchor_scores(name: str, probability: Floats, label: NDArray[Any], anchor_us: NDArray[np.int64]) -> Floats:
    """Return the score of each anchor, float64 [n]; lower is better."""
    if name == "brier":
        return (probability - label) ** 2
    margin = log_odds(probability)
    if name == "levelled_log_loss":
        codes = date_codes(anchor_us)
        margin = margin + date_levels(margin, label, codes)[codes]
    return np.asarray(-np.where(label == 1, log_expit(margin), log_expit(-margin)))


def compare(first: Floats, second: Floats, user_id: NDArray[Any], anchor_us: NDArray[np.int64]) -> Comparison:
    """Return the mean of `first - second` (each [n]) and its standard error: by customer or by date, the larger."""
    apart = first - second
    errors = [clustered_error(apart, cluster) for cluster in (user_id, anchor_us)]
    return float(apart.mean()), float(max(errors))
