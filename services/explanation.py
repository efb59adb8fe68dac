"""Why an ensemble says what it says: one number a feature, in log-odds, which add up to the score.

Each member brings its own additive contributions (`member_contributions.py`). How they are joined follows how the
members are combined:

* `log_odds`, `stacker`: the score is a weighted sum of the members' log-odds, and so is a feature's contribution.
* `mean`: the score is the log-odds of a weighted mean of probabilities. All members are moved together, in equal
  steps, from what they say of the average customer to what they say of this one; a member's contributions count by
  how much the ensemble's log-odds followed that member on the way: w p (1 - p) / (P (1 - P)), averaged along the way,
  with p the member's probability, w its weight and P the mean. What is added up on such a way is exactly the
  difference between its two ends.

What the calibration then changes is a term of its own; it holds the rounding of single precision, too.

Source: Aumann & Shapley 1974, "Values of Non-Atomic Games"; Sundararajan, Taly & Yan 2017, "Axiomatic Attribution for
Deep Networks", equation 1 (the same average along a straight way).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.ensemble.combine import Ensemble, log_odds, sigmoid

__all__ = ["Explanation", "MemberContributions", "Method", "explain"]

Floats = NDArray[np.float64]
Method = Literal["tree_shap", "permutation_shapley"]
_NODES = 64


@dataclass(frozen=True)
class MemberContributions:
    """One member's log-odds, taken apart: `base`, and what each feature and each step of the sequence adds.

    `steps` has shape (steps that the member saw,), oldest first.
    """

    base: float
    features: Mapping[str, float]
    steps: Floats
    method: Method

    @property
    def total(self) -> float:
        """The sum of all contributions, without the base."""
        return float(sum(self.features.values()) + self.steps.sum())


@dataclass(frozen=True)
class Explanation:
    """`base` + all of `features` + all of `steps` + `calibration` is the log-odds of the score.

    `steps` are the customer's last baskets or events, oldest first.
    """

    base: float
    features: Mapping[str, float]
    steps: Floats
    calibration: float


def explain(ensemble: Ensemble, members: Mapping[str, MemberContributions], probability: float) -> Explanation:
    """Return why the ensemble gave `probability`, from what each member that counts adds up to.

    Raises:
        KeyError: a member that counts is not among `members`.
    """
    weights = {name: w for name, w in zip(ensemble.members, ensemble.weights, strict=True) if w}
    parts = {name: members[name] for name in weights}
    factors, base = _of_mean(weights, parts) if ensemble.method == "mean" else _of_sum(ensemble, weights, parts)
    features: dict[str, float] = {}
    longest = max((len(part.steps) for part in parts.values()), default=0)
    steps = np.zeros(longest)
    for name, part in parts.items():
        for feature, value in part.features.items():
            features[feature] = features.get(feature, 0.0) + factors[name] * value
        steps[longest - len(part.steps) :] += factors[name] * part.steps
    total = base + sum(features.values()) + float(steps.sum())
    return Explanation(base, features, steps, float(log_odds(np.asarray(probability))) - total)


def _of_sum(
    ensemble: Ensemble, weights: Mapping[str, float], parts: Mapping[str, MemberContributions]
) -> tuple[Mapping[str, float], float]:
    return weights, sum(weight * parts[name].base for name, weight in weights.items()) + ensemble.intercept


def _of_mean(
    weights: Mapping[str, float], parts: Mapping[str, MemberContributions]
) -> tuple[Mapping[str, float], float]:
    nodes, shares = np.polynomial.legendre.leggauss(_NODES)
    way = (nodes + 1) / 2  # from 0, the average customer, to 1, this one
    said = {name: sigmoid(part.base + way * part.total) for name, part in parts.items()}
    mean = sum((weight * said[name] for name, weight in weights.items()), np.zeros(_NODES))
    slope = {name: weight * said[name] * (1 - said[name]) / (mean * (1 - mean)) for name, weight in weights.items()}
    at_base = sum(weight * float(sigmoid(parts[name].base)) for name, weight in weights.items())
    return {name: float(values @ shares / 2) for name, values in slope.items()}, float(log_odds(np.asarray(at_base)))
