"""What a member may learn from: no infinite number ever, and no missing one where missing ones are to be refused."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from feature_repo.errors import FeatureError
from training.dataset.examples import Examples, require_no_infinity
from training.models.contract import Impute

__all__ = ["require_readable"]


def require_readable(examples: Examples, numeric: Iterable[str], impute: Impute, sequences: Iterable[str] = ()) -> None:
    """Refuse what cannot be learnt from among the features `numeric` and the channels `sequences`, which are read.

    Every member that reads features asks this of what it is fitted on, also when it is fitted again.

    Raises:
        FeatureError: a feature is infinite, whatever `impute` says; or it is "refuse", and one has missing values. The
            features are named, with the number of rows (of a channel: of steps).
    """
    if not examples.stored:  # what is on disk is looked at when it is read
        require_no_infinity(examples.features)
    if impute != "refuse":
        return
    counts = _missing(examples, list(numeric), list(sequences))
    if counts:
        raise FeatureError(
            f"Features are not known everywhere: got NaN in {', '.join(counts)}; expected none, as [features] impute = "
            '"refuse" says. Choose median, mean, indicator or delete, or leave these features out.'
        )


def _missing(examples: Examples, numeric: list[str], sequences: list[str]) -> list[str]:
    """Say of each feature with missing values how many it has."""
    rows: Counter[str] = Counter()
    steps: Counter[str] = Counter()
    for part in examples.parts():
        rows.update({name: int(np.isnan(part.features.numeric[name]).sum()) for name in numeric})
        steps.update({name: int(np.isnan(part.features.sequences[name].values).sum()) for name in sequences})
    told = [f"{name} ({count:,} of {len(examples):,})" for name, count in rows.items() if count]
    return told + [f"{name} ({count:,} steps)" for name, count in steps.items() if count]
