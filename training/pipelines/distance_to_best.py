"""How far each member is from the best that could be known, where that is known: on a simulated shop."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.ceiling import CEILING_FILE, read_ceiling, share_of_reachable
from training.evaluation.metrics import log_losses
from training.evaluation.predictions import Predictions

__all__ = ["distance_to_best"]


def distance_to_best(out: Path, predictions: Predictions, base_rate: float) -> dict[str, Any]:
    """Return log loss of the constant `base_rate` and of the true probabilities, and each member's share of the way.

    `share` maps a member to the part of the reachable reduction in log loss that it took: 0 is the constant, 1 the
    ceiling. Empty for a run that is not of a simulated shop.

    Raises:
        SourceDataError: the ceiling was written for other anchors.
    """
    path = out / CEILING_FILE
    if not path.exists():
        return {}
    label = predictions.label
    best = read_ceiling(path, predictions.user_id.tolist(), predictions.anchor_us).best
    shares = {
        name: share_of_reachable(label, predictions.probability[name], base_rate, best) for name in predictions.members
    }
    return {
        "constant": float(log_losses(label, np.full(len(label), base_rate)).mean()),
        "best": float(log_losses(label, best).mean()),
        "share": {name: share if math.isfinite(share) else None for name, share in shares.items()},
    }
