"""Predictions of a time that the predicting model had not seen: what an ensemble may be chosen on.

Two origins lie inside the training and validation periods. At the first, two thirds of the training dates on, the
members are fitted on what was labelled by then; the rest of the training period decides when they stop. At the second,
the start of validation, they are fitted again on all of train, with as many steps. No model, and no stopping rule,
has seen anything of validation before it predicts it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from training.dataset.examples import Examples
from training.models.contract import FitSettings, Fitted, Member

__all__ = ["DAY_US", "Forward", "ForwardFits", "fit_forward"]

DAY_US = 86_400_000_000
FIRST_ORIGIN = 2 / 3


@dataclass(frozen=True)
class Forward:
    """n predictions, each by models fitted on labels that had ended by the anchor's date.

    `user_id` object (n,), `anchor_us` int64 (n,), `label` int8 (n,); `probabilities` maps a member to float64 (n,).
    """

    user_id: NDArray[np.object_]
    anchor_us: NDArray[np.int64]
    label: NDArray[np.int8]
    probabilities: dict[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.label)

    def take(self, keep: NDArray[np.bool_]) -> "Forward":
        """Return the predictions for which `keep` is true."""
        probabilities = {name: p[keep] for name, p in self.probabilities.items()}
        return Forward(self.user_id[keep], self.anchor_us[keep], self.label[keep], probabilities)


@dataclass(frozen=True)
class ForwardFits:
    """What the rolling origins gave.

    `forward`: all time-forward predictions, oldest first. `older`: predictions of the validation period by the
    members of the first origin (None if train is too short for one), to see what newer data are worth. `first` and
    `on_train`: the members as fitted at the two origins. `seconds`: member → time spent on fitting it.
    """

    forward: Forward
    older: Forward | None
    first: dict[str, Fitted]
    on_train: dict[str, Fitted]
    seconds: dict[str, float]


def fit_forward(
    members: Mapping[str, Member],
    train: Examples,
    validation: Examples,
    settings: FitSettings,
) -> ForwardFits:
    """Fit `members` at both origins, and predict forward.

    If `train` has too few dates for a first origin, members are fitted once, on all of it, with the number of steps
    they have unless told otherwise.
    """
    known, later = _split(train, settings.horizon_days)
    first, on_train, seconds = {}, {}, {}
    for name, member in members.items():
        start = perf_counter()
        if known is None:
            on_train[name] = member.fit(train, None, settings)
        else:
            first[name] = member.fit(known, later, settings)
            on_train[name] = first[name].refit(train, settings)
        seconds[name] = perf_counter() - start
    forward = _predict(on_train, validation)
    if known is None or later is None:
        return ForwardFits(forward, None, first, on_train, seconds)
    return ForwardFits(_join(_predict(first, later), forward), _predict(first, validation), first, on_train, seconds)


def _split(train: Examples, horizon_days: float) -> tuple[Examples | None, Examples | None]:
    """Return what was labelled by the first origin, and the anchors from there on; None if either would be empty."""
    dates = np.unique(train.anchor_us)
    origin = dates[min(int(np.ceil(len(dates) * FIRST_ORIGIN)), len(dates) - 1)]
    labelled = train.anchor_us + round(horizon_days * DAY_US) <= origin
    known, later = train.take(labelled), train.take(train.anchor_us >= origin)
    if not len(known) or len(np.unique(known.label)) < 2 or len(np.unique(later.label)) < 2:
        return None, None
    return known, later


def _predict(fitted: Mapping[str, Fitted], examples: Examples) -> Forward:
    probabilities = {name: member.predict_proba(examples.features) for name, member in fitted.items()}
    return Forward(examples.user_id, examples.anchor_us, examples.label, probabilities)


def _join(earlier: Forward, later: Forward) -> Forward:
    return Forward(
        np.concatenate([earlier.user_id, later.user_id]),
        np.concatenate([earlier.anchor_us, later.anchor_us]),
        np.concatenate([earlier.label, later.label]),
        {name: np.concatenate([p, later.probabilities[name]]) for name, p in earlier.probabilities.items()},
    )
