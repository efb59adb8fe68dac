"""How intervals fare on dates that had no part in them, nor in the ensemble whose intervals they are."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from training.ensemble.choose import Choice, fit_ensemble
from training.ensemble.combine import combine, interval
from training.ensemble.forward_predictions import DAY_US, Forward
from training.ensemble.venn_abers import fit_interval, interval_coverage, says_something

__all__ = ["Coverage", "coverage_of_later_dates"]

_LEAST_DATES = 2  # of the past: the hull of one date is no range of dates


@dataclass(frozen=True)
class Coverage:
    """How often the interval made of the past held a later date's rates, on `dates` dates (see `interval_coverage`).

    `nominal`: how often it is to hold them if dates are draws of one kind. `mean_width`: of the intervals. All are
    means over rows.
    """

    dates: int
    coverage: float
    nominal: float
    mean_width: float

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return asdict(self)


def coverage_of_later_dates(choice: Choice, forward: Forward, horizon_days: float) -> Coverage | None:
    """Measure on each date how an ensemble of what had been labelled by then does there, with an interval of the same.

    For each date, weights, calibration and interval are fitted anew on the dates whose label windows had ended by
    then; only which way of combining and correcting it is, was chosen on all dates. None where no date that says
    something has two such before it.
    """
    found = []
    for date in np.unique(forward.anchor_us):
        later = forward.take(forward.anchor_us == date)
        past = forward.take(forward.anchor_us + round(horizon_days * DAY_US) <= date)
        checked = _check(choice, past, later) if says_something(later.label) and len(past) else None
        found += [] if checked is None else [checked]
    if not found:
        return None
    rows, *measured = (np.array(column) for column in zip(*found, strict=True))
    return Coverage(len(found), *(float(np.average(values, weights=rows)) for values in measured))


def _check(choice: Choice, past: Forward, later: Forward) -> tuple[int, float, float, float] | None:
    """Return rows, coverage, nominal coverage and mean width on `later`; None if the past has too few dates."""
    if sum(says_something(past.label[past.anchor_us == date]) for date in np.unique(past.anchor_us)) < _LEAST_DATES:
        return None
    ensemble = fit_ensemble(*choice.way, past)
    band = fit_interval(combine(ensemble, past.probabilities), past.label, past.anchor_us)
    probability = combine(ensemble, later.probabilities)
    sides = interval(replace(ensemble, interval=band), probability)
    assert band is not None  # noqa: S101  dates that say something have one
    assert sides is not None  # noqa: S101
    covered = interval_coverage(probability, later.label, *sides, later.anchor_us)
    return len(later), covered, band.nominal, float((sides[1] - sides[0]).mean())
