"""The threshold of each member, chosen on the validation period by models that were fitted before it.

The ensemble's combines such models; its weights and its calibration were chosen on that period as well.
"""

from pathlib import Path

from feature_repo.errors import SplitError
from training.evaluation.decisions import choose_threshold
from training.evaluation.predictions import Predictions

__all__ = ["VALIDATION_PREDICTIONS", "validation_thresholds"]

VALIDATION_PREDICTIONS = "validation_predictions.parquet"
"""What each member, fitted before the validation period, gave on it; of a run, and of each further seed of one."""


def validation_thresholds(out: Path) -> dict[str, float]:
    """Return member → threshold with the highest F1 on validation; nothing where a run kept no predictions of it.

    Raises:
        SplitError: the validation period holds one class only.
        InputError: a member's predictions are not numbers in [0, 1]; it is named.
    """
    path = out / VALIDATION_PREDICTIONS
    if not path.exists():
        return {}
    predictions = Predictions.read(path)
    try:
        return {name: choose_threshold(predictions.label, p) for name, p in predictions.probability.items()}
    except SplitError as problem:
        raise SplitError(f"The validation split: {problem}") from None
