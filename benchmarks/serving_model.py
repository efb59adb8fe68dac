"""The model part alone: what of a request is neither BentoML's nor the store's."""

import time
from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bounds import Bounds
from services.golden_check import examples, some_rows
from services.item_scorer import ItemScorer
from services.scoring import Scorer
from training.packaging.bundle import Bundle
from training.packaging.item_part import item_part

__all__ = ["model_alone"]

_CALLS = 2000
_TOGETHER = 200
_BATCH = 16


def model_alone(bundle_path: Path, bounds: Bounds) -> None:
    """Print the milliseconds of scoring one customer, and many at once, from columns to calibrated probabilities."""
    bundle = Bundle.load(bundle_path)
    scorer = Scorer(bundle)
    columns, at_us = examples(bundle)
    ones = [(some_rows(columns, [row]), at_us[row : row + 1]) for row in range(len(at_us))]
    many, few = (some_rows(columns, [row % len(at_us) for row in range(count)]) for count in (_TOGETHER, _BATCH))
    print(f"model part alone, in this process; NumPy adds two numbers in {_addition():.2f} microseconds in this hour")
    turn = iter(range(_CALLS + 300))
    one = _timed("1 customer", lambda: scorer.score(*ones[next(turn) % len(ones)]), _CALLS)
    bounds.most("model alone, 1 customer, p50 ms", one, 0.5)
    moments = np.full(_TOGETHER, at_us.max(), np.int64)
    alone = _timed(f"{_BATCH} customers, one by one", lambda: [scorer.score(*ones[row]) for row in range(_BATCH)], 200)
    batch = _timed(f"{_BATCH} customers together", lambda: scorer.score(few, moments[:_BATCH]), 500)
    print(f"  to batch {_BATCH} requests saves {1 - batch / alone:.0%} of what their models take")
    _timed(f"{_TOGETHER} customers", lambda: scorer.score(many, moments), 200)
    part = item_part(bundle)
    if part is not None:
        items = _timed(f"1 customer x {_TOGETHER} items", _crossed(part), 500)
        bounds.most(f"model alone, 1 customer x {_TOGETHER} items, p50 ms", items, 2)


def _crossed(part: Bundle) -> Callable[[], object]:
    """Return what scores a customer of the part's examples with the items of all of them, over and over."""
    scorer = ItemScorer(part)
    columns, at_us = examples(part)
    of_items = {field for view in part.json("features.json")["views"].values() for field in _item_fields(view)}
    rows = [row % len(at_us) for row in range(_TOGETHER)]
    items = some_rows({name: columns[name] for name in (*sorted(of_items & set(columns)), "item_id")}, rows)
    own = {name: column for name, column in columns.items() if name not in of_items and name != "item_id"}
    customers = [some_rows(own, [row]) for row in range(len(at_us))]
    turn = cycle(range(len(at_us)))

    def once() -> object:
        row = next(turn)
        return scorer.cross(customers[row], items, int(at_us[row]))

    return once


def _item_fields(view: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the fields of a view of items; of another view none."""
    fields: Mapping[str, str] = view["fields"] if view["join_keys"] == ["item_id"] else {}
    return fields


def _addition(calls: int = 20_000) -> float:
    """Return the microseconds of a call of NumPy that does next to nothing: what is many such calls goes with it."""
    one = np.zeros(1)
    begun = time.perf_counter()
    for _ in range(calls):
        np.add(one, one)
    return (time.perf_counter() - begun) / calls * 1e6


def _timed(what: str, call: Callable[[], object], calls: int) -> float:
    """Print the quantiles, and return the median, in milliseconds."""
    for _ in range(min(calls, 300)):
        call()
    took = []
    for _ in range(calls):
        begun = time.perf_counter()
        call()
        took.append(time.perf_counter() - begun)
    p50, p99 = np.quantile(took, [0.5, 0.99]) * 1e3
    print(f"  {what:26} p50 {p50:8.3f}  p99 {p99:8.3f}")
    return float(p50)
