"""Two leaks that come from how labels were used: a feature that is an average of them, a session cut by them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, poisson

from feature_repo.errors import FeatureError, SplitError
from training.dataset.label_agreement import smoothness, whole_groups
from training.dataset.leakage_checks import FEWEST_OF_EACH, single_feature_auc

__all__ = ["require_no_label_means", "require_same_cut"]

_TOO_CLOSE = 1e-6
_TOO_CLOSE_BY_ORDER = 1e-5
_FEWEST_GROUPS = 5
_TELLING_AUC = 0.55
_FAR_MORE = 3


def require_no_label_means(columns: Mapping[str, NDArray[np.float64]], label: NDArray[np.int8], split: str) -> None:
    """Refuse features that agree with the labels of these rows better than chance allows: they were made of them.

    Rows with the same value of a feature form a group. If the value is a rate between 0 and 1 that was estimated on
    other rows, the group's own rate differs from it at least by chance; a target encoding fitted on these very rows
    does not. The sum of squared differences, each over its variance, is then at least as large as chi-squared with one
    degree of freedom a group; far below it lies no honest feature. On any other scale, and with groups of a few rows,
    the order of the values and the counts of equal ones tell (`label_agreement.py`); that is asked only of features
    with an AUC of 0.55 or more, either way round, for a feature that tells nothing gives nothing away.

    An honest feature is refused with a probability of at most 2.1e-5: 1e-6 by its scale, 1e-5 by its order and by its
    counts each, if labels are independent given the feature. Rows of one customer that are alike and share a value make
    rates differ more, and are refused less; spread evenly over neighbouring values they would be refused more.

    Args:
        columns: feature → float64 of shape (n,), NaN where it is not known.
        label: 0 or 1, shape (n,).
        split: whose rows these are, for the message.

    Raises:
        FeatureError: the message names the features.
    """
    guilty = [
        name
        for name, values in columns.items()
        if _agreement(values, label) < _TOO_CLOSE or _agreement_by_order(values, label) < _TOO_CLOSE_BY_ORDER
    ]
    if guilty:
        raise FeatureError(
            f"Features {guilty} are the mean label of the {split} rows with the same value; expected target encodings "
            "to be fitted on earlier rows than those they are used for. Fit them on the training period, and out of "
            "fold within it, or leave them out."
        )


def _agreement(values: NDArray[np.float64], label: NDArray[np.int8]) -> float:
    """Return how likely independent labels agree with the rates `values` at least so well; 1 for other columns."""
    known = ~np.isnan(values)
    if not known.any() or values[known].min() < 0 or values[known].max() > 1:
        return 1.0
    rate, place, rows = np.unique(values[known], return_inverse=True, return_counts=True)
    positives = np.bincount(place, label[known])
    variance = rows * rate * (1 - rate)
    telling = variance >= 1.0
    if np.count_nonzero(telling) < _FEWEST_GROUPS:
        return 1.0
    distance = ((positives - rows * rate)[telling] ** 2 / variance[telling]).sum()
    return float(chi2.cdf(distance, np.count_nonzero(telling)))


def _agreement_by_order(values: NDArray[np.float64], label: NDArray[np.int8]) -> float:
    """Return how likely chance agrees with the labels at least so well, on any scale; 1 for what tells little."""
    if abs(single_feature_auc(values, label) - 0.5) < _TELLING_AUC - 0.5:
        return 1.0
    known = ~np.isnan(values)
    return min(smoothness(values[known], label[known]), whole_groups(values[known], label[known]))


def require_same_cut(goes_on: NDArray[np.bool_], label: NDArray[Any], usual: NDArray[np.float64]) -> None:
    """Refuse prefixes of sessions that were cut for buyers only, for then their length gives the label away.

    Cut by the same rule for everybody, sessions without a purchase go on after the prefix about as often as any session
    that has come so far and in which nothing is bought later. They are refused if fewer than a third of that do, by
    more than chance, while three times as many of the buyers' do; or if none does. So whoever cuts by sessions of
    another kind than the log's (a shop's own, days, other pauses) is found, too, unless they are so short that more
    than a third of them are followed by an event at once.

    Args:
        goes_on: whether another event of the session follows the anchor, shape (n,).
        label: 0 or 1, shape (n,).
        usual: how often something follows at the same place of a session without a later purchase, between 0 and 1,
            shape (n,); NaN where the anchor is at no event.

    Raises:
        SplitError: sessions without a purchase go on far too seldom.
    """
    others, buyers = goes_on[label == 0], goes_on[label == 1]
    if min(len(others), len(buyers)) < FEWEST_OF_EACH or buyers.mean() <= _FAR_MORE * others.mean():
        return
    placed = ~np.isnan(usual) & (label == 0)
    expected, seen = float(usual[placed].sum()), int(goes_on[placed].sum())
    rare = seen * _FAR_MORE < expected and poisson.cdf(seen, expected) < _TOO_CLOSE
    if rare or not others.any():
        raise SplitError(
            f"Of {len(others):,} anchors with label 0 only {int(others.sum()):,} have another event in their session, "
            f"and {int(buyers.sum()):,} of {len(buyers):,} with label 1 have; expected sessions to be cut by the same "
            "rule whoever buys. Only buyers were cut before the end: the length gives the label away. Ask after the "
            "k-th event of every session."
        )
