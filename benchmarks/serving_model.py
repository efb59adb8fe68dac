"""The model part alone: what of a request is neither BentoML's nor the store's."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from services.golden_check import examples, some_rows
from services.scoring import Scorer
from training.packaging.bundle import Bundle

__all__ = ["model_alone"]

_CALLS = 2000
_TOGETHER = 200


def model_alone(bundle_path: Path) -> None:
    """Print the milliseconds of scoring one customer, and many at once, from columns to calibrated probabilities."""
    bundle = Bundle.load(bundle_path)
    scorer = Scorer(bundle)
    columns, at_us = examples(bundle)
    ones = [(some_rows(columns, [row]), at_us[row : row + 1]) for row in range(len(at_us))]
    many = some_rows(columns, [row % len(at_us) for row in range(_TOGETHER)])
    print("model part alone, in this process")
    turn = iter(range(_CALLS + 300))
    _timed("1 customer", lambda: scorer.score(*ones[next(turn) % len(ones)]), _CALLS)
    moments = np.full(_TOGETHER, at_us.max(), np.int64)
    _timed(f"{_TOGETHER} customers", lambda: scorer.score(many, moments), 200)


def _timed(what: str, call: Callable[[], object], calls: int) -> None:
    for _ in range(min(calls, 300)):
        call()
    took = []
    for _ in range(calls):
        begun = time.perf_counter()
        call()
        took.append(time.perf_counter() - begun)
    p50, p99 = np.quantile(took, [0.5, 0.99]) * 1e3
    print(f"  {what:14} p50 {p50:8.3f}  p99 {p99:8.3f}")
