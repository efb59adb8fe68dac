"""From each member's probability to one calibrated probability: NumPy only, the same code in training and service."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Calibration", "Ensemble", "Interval", "calibrate", "combine", "interval", "log_odds", "sigmoid"]

Floats = NDArray[np.float64]
# A certain member would silence all others and make one wrong answer infinitely bad.
NEVER_SURER = 1e-6


@dataclass(frozen=True)
class Calibration:
    """How a combined probability is corrected; numbers of a method that is not used are at rest.

    none: p stays. platt: sigmoid(slope * logit p + intercept). beta: sigmoid(slope * ln p - slope_other * ln(1 - p)
    + intercept). isotonic: linear between the points (`x`, `y`), flat outside.

    Source: Platt 1999; Kull, Silva Filho & Flach 2017, "Beta calibration", equation 3; Zadrozny & Elkan 2002.
    """

    method: Literal["none", "platt", "beta", "isotonic"] = "none"
    slope: float = 1.0
    slope_other: float = 1.0
    intercept: float = 0.0
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()


@dataclass(frozen=True)
class Interval:
    """Between which rates of buyers a probability lay on past dates (`training/ensemble/venn_abers.py`).

    `low` and `high` at the probabilities `x`, ascending; linear in between, flat outside. `dates`: how many it is of.
    """

    x: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    dates: int

    @property
    def nominal(self) -> float:
        """The chance that the next date's rate lies inside, if it is one more draw of these dates."""
        return (self.dates - 1) / (self.dates + 1)


@dataclass(frozen=True)
class Ensemble:
    """How members are combined.

    mean: the weighted mean of probabilities. log_odds: sigmoid of the weighted sum of log-odds. stacker: the same
    plus `intercept`, fitted as a regression. A member with weight 0 does not count (and need not be computed).
    `interval` is None where the past was too short for one.
    """

    method: Literal["mean", "log_odds", "stacker"]
    members: tuple[str, ...]
    weights: tuple[float, ...]
    intercept: float = 0.0
    calibration: Calibration = field(default_factory=Calibration)
    interval: Interval | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the ensemble as JSON-able data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Ensemble":
        """Rebuild an ensemble from `to_json`.

        Raises:
            ValueError: there is not one weight a member.
        """
        members, weights = tuple(data["members"]), tuple(data["weights"])
        if len(members) != len(weights):
            raise ValueError(f"{len(weights)} weights for {len(members)} members; expected one each.")
        kept = dict(data["calibration"])
        calibration = Calibration(**{**kept, "x": tuple(kept["x"]), "y": tuple(kept["y"])})
        found = data.get("interval")
        band = found and Interval(tuple(found["x"]), tuple(found["low"]), tuple(found["high"]), int(found["dates"]))
        return cls(
            data["method"],
            members,
            weights,
            float(data["intercept"]),
            calibration,
            band,
        )

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the members that count."""
        return tuple(name for name, weight in zip(self.members, self.weights, strict=True) if weight)


def combine(ensemble: Ensemble, probabilities: Mapping[str, Any]) -> Floats:
    """Return the calibrated probability, float64 of shape (n,), strictly between 0 and 1.

    Args:
        ensemble: what was fitted.
        probabilities: member → its probabilities, shape (n,), in [0, 1]. Others than the members used are ignored.

    Raises:
        KeyError: a member that counts is not among `probabilities`.

    >>> half = Ensemble("mean", ("a", "b"), (0.5, 0.5))
    >>> combine(half, {"a": np.array([0.1]), "b": np.array([0.3])})
    array([0.2])
    """
    weights = zip(ensemble.weights, ensemble.members, strict=True)
    terms = [(weight, probabilities[name]) for weight, name in weights if weight]
    if ensemble.method == "mean":
        combined = sum((weight * _inside(p) for weight, p in terms), np.float64(0))
    else:
        combined = sigmoid(sum((weight * log_odds(p) for weight, p in terms), np.float64(ensemble.intercept)))
    return calibrate(ensemble.calibration, np.asarray(combined))


def interval(ensemble: Ensemble, probability: Floats) -> tuple[Floats, Floats] | None:
    """Return the lowest and the highest rate that `probability` (what `combine` gave, shape (n,)) may stand for.

    The probability itself always lies inside. None if the ensemble has no interval.
    """
    band = ensemble.interval
    if band is None:
        return None
    low, high = (np.interp(probability, band.x, side) for side in (band.low, band.high))
    return np.minimum(low, probability), np.maximum(high, probability)


def calibrate(calibration: Calibration, probability: Floats) -> Floats:
    """Return the corrected probability, float64 of the same shape, strictly between 0 and 1."""
    p = _inside(probability)
    if calibration.method == "platt":
        p = sigmoid(calibration.slope * log_odds(p) + calibration.intercept)
    elif calibration.method == "beta":
        p = sigmoid(calibration.slope * np.log(p) - calibration.slope_other * np.log1p(-p) + calibration.intercept)
    elif calibration.method == "isotonic":
        p = np.interp(p, calibration.x, calibration.y)
    return _inside(p)


def log_odds(probability: Floats) -> Floats:
    """Return ln(p / (1 - p)), with p kept `NEVER_SURER` away from 0 and 1."""
    p = _inside(probability)
    return np.asarray(np.log(p) - np.log1p(-p))


def sigmoid(margin: Any) -> Floats:
    """Return 1 / (1 + exp(-margin)), without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -np.asarray(margin, np.float64))))


def _inside(probability: Floats) -> Floats:
    # What `np.clip` does, in a third of its time for a few numbers.
    return np.minimum(np.maximum(np.asarray(probability, np.float64), NEVER_SURER), 1 - NEVER_SURER)
