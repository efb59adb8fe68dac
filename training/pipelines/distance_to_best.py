"""How far each member is from the best that could be known, where that is known: on a simulated shop."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.ceiling import CEILING_FILE, Reachable, read_ceiling, share_of_reachable
from training.evaluation.metrics import log_losses
from training.evaluation.predictions import Predictions

__all__ = ["distance_to_best", "reachable_of"]


def reachable_of(out: Path, predictions: Predictions, base_rate: float) -> Reachable | None:
    """Return both ends of the way for the anchors of `predictions`; None for a run that is not of a simulated shop.

    Raises:
        SourceDataError: the ceiling was written for other anchors.
    """
    path = out / CEILING_FILE
    if not path.exists():
        return None
    return Reachable(base_rate, read_ceiling(path, predictions.user_id.tolist(), predictions.anchor_us).best)


def distance_to_best(predictions: Predictions, ends: Reachable | None) -> dict[str, Any]:
    """Return log loss of the constant and of the true probabilities, and each member's share of the way.

    `share` maps a member to the part of the reachable reduction in log loss that it took: 0 is the constant, 1 the
    ceiling. Empty for a run that is not of a simulated shop.
    """
    if ends is None:
        return {}
    label = predictions.label
    shares = {
        name: share_of_reachable(label, predictions.probability[name], ends.constant, ends.best)
        for name in predictions.members
    }
    return {
        "constant": float(log_losses(label, np.full(len(label), ends.constant)).mean()),
        "best": float(log_losses(label, ends.best).mean()),
        "share": {name: share if math.isfinite(share) else None for name, share in shares.items()},
    }
