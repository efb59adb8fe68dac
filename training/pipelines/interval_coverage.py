"""How often the ensemble's intervals held the rates of buyers of the test period: measured, not promised."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from training.ensemble.combine import Ensemble
from training.ensemble.venn_abers import interval_coverage
from training.evaluation.predictions import ENSEMBLE, Predictions
from training.pipelines.fit import INTERVAL_HIGH, INTERVAL_LOW
from training.pipelines.whole_training import ENSEMBLE_FILE, TEST_SCORES

__all__ = ["coverage_on_test"]


def coverage_on_test(out: Path, predictions: Predictions, date_us: NDArray[np.int64]) -> dict[str, Any]:
    """Return what `metrics.json` says of the intervals; empty where the ensemble has none.

    `coverage`: share of the test rows whose group's rate of buyers lies in the group's mean interval; a group is one
    date's tenth of the probabilities. `expected`: the least that is to be expected if test dates are draws of the same
    kind as the `dates` that the intervals are of. `mean_width` of an interval, and the `test_dates` judged.
    `date_us` (int64, shape (n,)) is each row's date.
    """
    scores = pq.read_table(out / TEST_SCORES)
    band = Ensemble.from_json(json.loads((out / ENSEMBLE_FILE).read_text())).interval
    if band is None or INTERVAL_LOW not in scores.column_names:
        return {}
    low, high = (scores[name].to_numpy() for name in (INTERVAL_LOW, INTERVAL_HIGH))
    return {
        "coverage": interval_coverage(predictions.probability[ENSEMBLE], predictions.label, low, high, date_us),
        "expected": band.nominal,
        "mean_width": float((high - low).mean()),
        "dates": band.dates,
        "test_dates": len(np.unique(date_us)),
    }
