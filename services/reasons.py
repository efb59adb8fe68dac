"""An explanation in words: what was known, what it was worth, and in which direction."""

from datetime import datetime

import numpy as np

from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.ragged import Ragged
from services.contracts import Contribution
from services.explanation import Explanation
from services.feature_words import effect_words, feature_words, step_words
from services.request_reading import microseconds

__all__ = ["MOST_REASONS", "contributions", "reasons"]

MOST_REASONS = 5
_DAY_US, _SECOND_US = 86_400_000_000, 1_000_000
# Channel of a sequence with the time before t → its unit, and what a step is.
_CLOCKS = {"days_before_anchor": (_DAY_US, "basket"), "event_seconds_before": (_SECOND_US, "event")}
_DETAILS = {"basket_lines": "lines", "basket_revenue": "revenue", "event_revenue": "revenue", "event_price": "price"}


def contributions(found: Explanation, features: CustomerFeatures, at: datetime) -> list[Contribution]:
    """Return everything that `found` adds up for the one customer in `features`, the largest first."""
    told = [_feature(name, value, features) for name, value in found.features.items()]
    told += _steps(found, features, at)
    return sorted(told, key=lambda one: -abs(one.log_odds))


def reasons(found: Explanation, features: CustomerFeatures, at: datetime) -> list[Contribution]:
    """Return the few largest contributions that are not nothing."""
    return [one for one in contributions(found, features, at)[:MOST_REASONS] if one.log_odds]


def _feature(name: str, log_odds: float, features: CustomerFeatures) -> Contribution:
    value = _value(name, features)
    says = f"{feature_words(name, value)} ({effect_words(log_odds)})"
    return Contribution(feature=name, value=value, log_odds=log_odds, says=says)


def _value(name: str, features: CustomerFeatures) -> float | str | None:
    if name in features.categorical:
        word = features.categorical[name][0]
        return None if word is None else str(word)
    number = float(features.numeric[name][0]) if name in features.numeric else float("nan")
    return number if np.isfinite(number) else None


def _steps(found: Explanation, features: CustomerFeatures, at: datetime) -> list[Contribution]:
    """Say which basket or event each step of the sequence was; 1 is the newest."""
    clock = next((name for name in _CLOCKS if name in features.sequences), None)
    count = len(found.steps)
    told = []
    for place, log_odds in enumerate(found.steps.tolist()):
        back = count - place
        words, value = f"step {back} of the sequence", None
        if clock is not None and back <= len(features.sequences[clock].values):
            words, value = _step(clock, features.sequences, back, at)
        name = f"{'step' if clock is None else _CLOCKS[clock][1]}_{back}_from_last"
        told.append(
            Contribution(feature=name, value=value, log_odds=log_odds, says=f"{words} ({effect_words(log_odds)})")
        )
    return told


def _step(clock: str, sequences: dict[str, Ragged], back: int, at: datetime) -> tuple[str, float]:
    unit, kind = _CLOCKS[clock]
    before = float(sequences[clock].values[-back])
    details = {words: float(sequences[name].values[-back]) for name, words in _DETAILS.items() if name in sequences}
    return step_words(kind, microseconds(at) - before * unit, details), before
