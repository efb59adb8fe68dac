"""Is it worth fitting again on train and validation before the members meet the time after them?"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from training.ensemble.choose import log_losses
from training.ensemble.clustered_error import clustered_error
from training.ensemble.combine import Ensemble, combine
from training.ensemble.forward_predictions import ForwardFits

__all__ = ["NewerData", "compare_newer_data"]


@dataclass(frozen=True)
class NewerData:
    """Log loss on the validation period of one model fitted up to the first origin, and of the same up to validation.

    The gap between them is about as long as the validation period itself, so the comparison is a rehearsal of the
    question whether to add validation to the fit. `who` is a member or "ensemble"; a negative `difference` (newer
    minus older) says that newer data help; `standard_error` clusters by customer and by date, the larger one counts.
    """

    who: str
    older: float
    newer: float
    difference: float
    standard_error: float

    @property
    def helps(self) -> bool:
        """True if newer data were better at all.

        The models of older data are no safer choice: whatever drifts, they are further behind. So newer data need not
        prove themselves beyond the noise.
        """
        return self.difference < 0

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON-able data; a standard error that is not known (one date only) is null."""
        known = bool(np.isfinite(self.standard_error))
        return {**asdict(self), "standard_error": self.standard_error if known else None, "helps": self.helps}


def compare_newer_data(fits: ForwardFits, ensemble: Ensemble) -> list[NewerData]:
    """Return the comparison for the ensemble (first) and each member; empty if there was no first origin."""
    older = fits.older
    if older is None:
        return []
    newer = fits.forward.take(fits.forward.anchor_us >= older.anchor_us.min())
    pairs = {"ensemble": (combine(ensemble, older.probabilities), combine(ensemble, newer.probabilities))}
    pairs |= {name: (p, newer.probabilities[name]) for name, p in older.probabilities.items()}
    table = []
    for who, (before, after) in pairs.items():
        was, now = log_losses(before, older.label), log_losses(after, older.label)
        change = now - was
        error = max(clustered_error(change, older.user_id), clustered_error(change, older.anchor_us))
        table.append(NewerData(who, float(was.mean()), float(now.mean()), float(change.mean()), error))
    return table
