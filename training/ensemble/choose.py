"""Choose how members are combined and whether the result is recalibrated, by rolling-origin log loss."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.ensemble.calibration import METHODS as CALIBRATIONS
from training.ensemble.calibration import Method as CalibrationMethod
from training.ensemble.calibration import fit_calibration
from training.ensemble.clustered_error import clustered_error
from training.ensemble.combine import Ensemble, combine
from training.ensemble.fit_weights import METHODS as COMBINATIONS
from training.ensemble.fit_weights import Method as CombinationMethod
from training.ensemble.fit_weights import fit_weights
from training.ensemble.forward_predictions import DAY_US, Forward

__all__ = ["Candidate", "Choice", "choose", "fit_ensemble", "log_losses"]

Floats = NDArray[np.float64]
# A combination is scored where at least this many earlier dates could be fitted on, if the data have as many.
DATES_TO_FIT_ON = 2
# Of one member the best, the mean and a weighted mean are the member itself.
OF_ONE_MEMBER: tuple[CombinationMethod, ...] = ("mean", "stacker")
PREFERRED: tuple[CombinationMethod, CalibrationMethod] = ("mean", "none")


@dataclass(frozen=True)
class Candidate:
    """One way to combine and recalibrate, and how it did on dates later than those it was fitted on.

    `log_loss`: mean over all scored anchors. `difference`: log loss minus that of the plain mean, negative is better.
    `standard_error` of the difference: the larger one of clustering by customer and by anchor date. `by_date`: mean
    log loss of each scored date (`Choice.scored_dates`), oldest first.
    """

    combination: CombinationMethod
    calibration: CalibrationMethod
    log_loss: float
    difference: float
    standard_error: float
    by_date: tuple[float, ...] = ()
    chosen: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the candidate as JSON-able data; a standard error that is not known is null."""
        known = np.isfinite(self.standard_error)
        return {**asdict(self), "standard_error": self.standard_error if known else None}


@dataclass(frozen=True)
class Choice:
    """The ensemble, fitted on all forward predictions, and every candidate, best first.

    `scored_dates`: anchor dates (int64 µs) that the candidates were scored on; none if the data have only one
    forward date, and then the plain mean is taken unseen.
    """

    ensemble: Ensemble
    candidates: list[Candidate]
    scored_dates: list[int]

    @property
    def way(self) -> tuple[CombinationMethod, CalibrationMethod]:
        """Which way of combining and which of correcting were chosen."""
        chosen = ((candidate.combination, candidate.calibration) for candidate in self.candidates if candidate.chosen)
        return next(chosen, PREFERRED)

    @property
    def calibration(self) -> CalibrationMethod:
        """How the ensemble's correction was fitted; several ways are applied by one formula."""
        return self.way[1]


def choose(forward: Forward, horizon_days: float) -> Choice:
    """Try every combination with every calibration, fitting on earlier dates and scoring on later ones.

    The plain mean without recalibration is taken, unless the best candidate is better by more than one standard
    error: with few dates, a calibration that happens to meet one week's level of demand is not a better one.
    """
    splits = _rolling(forward.anchor_us, horizon_days)
    if not splits:
        return Choice(fit_weights("mean", forward), [], [])
    scored = forward.take(np.any([later for _, later in splits], axis=0))
    losses = _score_all(forward, splits)
    plain = losses[PREFERRED]
    table = [_candidate(*pair, loss, plain, scored) for pair, loss in losses.items()]
    table.sort(key=lambda candidate: candidate.log_loss)
    number = 0 if -table[0].difference > table[0].standard_error else _place(table)
    table[number] = replace(table[number], chosen=True)
    best = table[number]
    dates = np.unique(scored.anchor_us).tolist()
    return Choice(fit_ensemble(best.combination, best.calibration, forward), table, dates)


def log_losses(probability: Floats, label: NDArray[Any]) -> Floats:
    """Return the log loss of each anchor, shape (n,); a certain forecast that was wrong loses 34.5, not everything."""
    given = np.where(label == 1, probability, 1 - probability)
    return np.asarray(-np.log(np.maximum(given, 1e-15)))


def _rolling(anchor_us: NDArray[np.int64], horizon_days: float) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Return for each scored date: what was labelled by then, and the date's own anchors."""
    horizon = round(horizon_days * DAY_US)
    dates = np.unique(anchor_us)
    for least in range(DATES_TO_FIT_ON, 0, -1):
        labelled = [(date, np.count_nonzero(dates + horizon <= date)) for date in dates]
        splits = [(anchor_us + horizon <= date, anchor_us == date) for date, count in labelled if count >= least]
        if splits:
            return splits
    return []


def _score_all(
    forward: Forward, splits: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]
) -> dict[tuple[CombinationMethod, CalibrationMethod], Floats]:
    """Return each candidate's losses on the scored anchors, in the order of the anchors."""
    ways = COMBINATIONS if len(forward.probabilities) > 1 else OF_ONE_MEMBER
    losses = {(how, then): np.full(len(forward), np.nan) for how in ways for then in CALIBRATIONS}
    for earlier, later in splits:
        past, date = forward.take(earlier), forward.take(later)
        for how in ways:
            combined = fit_weights(how, past)
            for then in CALIBRATIONS:
                ensemble = _recalibrate(combined, then, past)
                losses[how, then][later] = log_losses(combine(ensemble, date.probabilities), date.label)
    return {pair: loss[~np.isnan(loss)] for pair, loss in losses.items()}


def fit_ensemble(how: CombinationMethod, then: CalibrationMethod, forward: Forward) -> Ensemble:
    """Fit the combination `how` and its correction `then` on all of `forward`."""
    return _recalibrate(fit_weights(how, forward), then, forward)


def _recalibrate(combined: Ensemble, then: CalibrationMethod, forward: Forward) -> Ensemble:
    probability = combine(combined, forward.probabilities)
    return replace(combined, calibration=fit_calibration(then, probability, forward.label, forward.anchor_us))


def _candidate(
    how: CombinationMethod, then: CalibrationMethod, loss: Floats, plain: Floats, scored: Forward
) -> Candidate:
    difference = loss - plain
    error = max(clustered_error(difference, scored.user_id), clustered_error(difference, scored.anchor_us))
    _, date = np.unique(scored.anchor_us, return_inverse=True)
    by_date = np.bincount(date, loss) / np.bincount(date)
    return Candidate(how, then, float(loss.mean()), float(difference.mean()), error, tuple(by_date.tolist()))


def _place(table: list[Candidate]) -> int:
    return next(i for i, c in enumerate(table) if (c.combination, c.calibration) == PREFERRED)
