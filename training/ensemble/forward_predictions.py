"""Predictions of a time that the predicting model had not seen: what an ensemble may be chosen on.

Several origins lie inside the training and validation periods; the last is the start of validation. At the first, the
members are fitted on what was labelled by then; the dates up to the next origin are forecast, and the rest of the
training period decides when they stop. At each later one they are fitted again on all that was labelled by then, with
as many steps, and forecast the dates up to the next. No model, and no stopping rule, has seen anything of validation
before it predicts it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from training.dataset.examples import Examples
from training.models.contract import FitSettings, Fitted, Member

__all__ = ["DAY_US", "ORIGINS", "Forward", "ForwardFits", "fit_forward", "predict"]

DAY_US = 86_400_000_000
ORIGINS = 2
# One customer in so many says when to stop where no later date can.
_APART = 4


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
    members of the first origin (None if train is too short for one), to see what newer data are worth. `first`: the
    members as fitted when they were told when to stop; `on_train`: on all of train. `seconds`: member → time spent
    on fitting it.
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
    origins: int = ORIGINS,
) -> ForwardFits:
    """Fit `members` at each of up to `origins` origins, and predict forward.

    Two origins are two thirds of the training dates on, and the start of validation; three are one half, three
    quarters, and validation; and so on. If `train` has too few dates for one inside, a quarter of the customers, kept
    apart, decides when members stop, and they are fitted once on all of it.
    """
    blocks = _blocks(train, settings.horizon_days, origins)
    first, on_train, seconds = {}, {}, {}
    parts: dict[str, list[NDArray[np.float64]]] = {}
    for name, member in members.items():
        start = perf_counter()
        if not blocks:
            first[name], on_train[name] = _fit_at_once(member, train, settings)
        else:
            first[name] = member.fit(blocks[0].known, blocks[0].later, settings)
            parts[name] = _forecast(first[name], blocks, settings)
            on_train[name] = first[name].refit(train, settings)
        seconds[name] = perf_counter() - start
    forward = _predict(on_train, validation)
    if not blocks:
        return ForwardFits(forward, None, first, on_train, seconds)
    inside = Forward(
        np.concatenate([block.judged.user_id for block in blocks]),
        np.concatenate([block.judged.anchor_us for block in blocks]),
        np.concatenate([block.judged.label for block in blocks]),
        {name: np.concatenate(found) for name, found in parts.items()},
    )
    return ForwardFits(_join(inside, forward), _predict(first, validation), first, on_train, seconds)


@dataclass(frozen=True)
class _Block:
    """At one origin: what was labelled by then, all training anchors from there on, and those up to the next origin."""

    known: Examples
    later: Examples
    judged: Examples


def _blocks(train: Examples, horizon_days: float, origins: int) -> list[_Block]:
    """Return the blocks of the origins inside the training period, oldest first; none if it is too short for one.

    An origin is left out if what is known before it, or what follows, holds one class only.
    """
    at, dates = train.anchor_us, np.unique(train.anchor_us)
    shares = [1 - (origins - 1 - i) / (origins + 1) for i in range(origins - 1)]
    places = sorted({min(int(np.ceil(len(dates) * share)), len(dates) - 1) for share in shares})
    usable = []
    for place in places:
        known, later = at + round(horizon_days * DAY_US) <= dates[place], at >= dates[place]
        if known.any() and len(np.unique(train.label[known])) == len(np.unique(train.label[later])) == 2:
            usable.append((dates[place], known, later))
    ends = [*(origin for origin, _, _ in usable), dates[-1] + 1][1:]
    return [
        _Block(train.take(known), train.take(later), train.take(later & (at < end)))
        for (_, known, later), end in zip(usable, ends, strict=True)
    ]


def _fit_at_once(member: Member, train: Examples, settings: FitSettings) -> tuple[Fitted, Fitted]:
    """Return the fit that decided the number of steps and the one on all, for a period without later dates to stop by.

    Without any stopping, few labels are learnt by heart.
    """
    apart = np.array([crc32(str(user).encode()) % _APART == 0 for user in train.user_id])
    if any(len(np.unique(train.label[rows])) < 2 for rows in (apart, ~apart)):
        return (fitted := member.fit(train, None, settings)), fitted
    fitted = member.fit(train.take(~apart), train.take(apart), settings)
    return fitted, fitted.refit(train, settings)


def _forecast(first: Fitted, blocks: list[_Block], settings: FitSettings) -> list[NDArray[np.float64]]:
    """Return each block's forecast, by the first fit and then by that fit again on what was known."""
    fits = [first, *(first.refit(block.known, settings) for block in blocks[1:])]
    return [predict(fitted, block.judged) for fitted, block in zip(fits, blocks, strict=True)]


def predict(fitted: Fitted, examples: Examples) -> NDArray[np.float64]:
    """Return a member's probabilities of `examples`, shape (n,), part by part where these are on disk."""
    parts = [fitted.predict_proba(part.features) for part in examples.parts()]
    return parts[0] if len(parts) == 1 else np.concatenate([*parts, np.empty(0)])


def _predict(fitted: Mapping[str, Fitted], examples: Examples) -> Forward:
    probabilities = {name: predict(member, examples) for name, member in fitted.items()}
    return Forward(examples.user_id, examples.anchor_us, examples.label, probabilities)


def _join(earlier: Forward, later: Forward) -> Forward:
    return Forward(
        np.concatenate([earlier.user_id, later.user_id]),
        np.concatenate([earlier.anchor_us, later.anchor_us]),
        np.concatenate([earlier.label, later.label]),
        {name: np.concatenate([p, later.probabilities[name]]) for name, p in earlier.probabilities.items()},
    )
