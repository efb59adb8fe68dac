"""How far the simulated shop's shape is from that of each real data set, as stated numbers."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from training.simulator.block import BLOCK, block_of, catalogue_of
from training.simulator.chances import Chances
from training.simulator.days import Asked
from training.simulator.parameters import TYPES, Parameters
from training.simulator.seasons import season_factors
from training.simulator.shapes import GRIDS, Shape, ShapeLog, shape_of, within

__all__ = ["Distance", "distances", "real_shapes", "simulated_log"]

_FILE = Path(__file__).with_name("real_shapes.json")
_DAYS = 120
_FROM_DAY = 60  # windows shorter than the log begin here, when the first days' surplus of new customers is over


@dataclass(frozen=True)
class Distance:
    """One line of the table.

    `distance` is, for `types`, half the sum of the differences of shares (total variation); for a distribution the
    largest difference of the cumulative shares (Kolmogorov-Smirnov); for a number the difference. `simulated` and
    `real` are the number itself, the share of views, or the median.
    """

    what: str
    data: str
    simulated: float
    real: float
    distance: float

    def to_json(self) -> dict[str, Any]:
        """Return the line as JSON-able data."""
        return asdict(self)


def real_shapes(path: Path | None = None) -> dict[str, Shape]:
    """Return the shapes of the real data sets, by name: numbers of the package, measured when it was fitted."""
    told = json.loads((path or _FILE).read_text(encoding="utf-8"))
    return {name: Shape(**shape) for name, shape in told.items()}


def simulated_log(parameters: Parameters, customers: int = BLOCK, seed: int = 1, items: int = 12_000) -> ShapeLog:
    """Return what the shape of a simulated shop is made of: its first block of customers over 120 days."""
    chances = Chances(parameters, season_factors(parameters, date(2024, 1, 1), _DAYS))
    catalogue = catalogue_of(parameters, seed, items)
    rows = block_of(chances, catalogue, Asked({}), seed, 0, min(customers, BLOCK), _DAYS).rows
    bought = rows.kind == TYPES.index("purchase")
    margin = np.where(bought, 1 - catalogue.cost[rows.item] / catalogue.price[rows.item], np.nan)
    return ShapeLog(rows.customer, rows.second, rows.kind, rows.item, catalogue.price[rows.item], margin)


def distances(log: ShapeLog, real: Mapping[str, Shape]) -> list[Distance]:
    """Compare a simulated log with each real shape: over as many days, and about as many events."""
    found = []
    for name, shape in real.items():
        days = max(shape.days, 9.0) if shape.types else min(shape.days, _DAYS)
        first = 0 if days >= _DAYS else _FROM_DAY
        measured = shape_of(within(log, first, days, shape.events), days)
        rhythm = shape_of(within(log, first, days), days)  # a customer's rhythm needs no thinning
        found += _compared(name, measured, rhythm, shape)
    return sorted(found, key=lambda one: (one.what, one.data))


def _compared(name: str, measured: Shape, whole: Shape, real: Shape) -> list[Distance]:
    found = []
    if real.types:
        ours = _among(whole.types, real.types)
        apart = sum(abs(ours[kind] - share) for kind, share in real.types.items()) / 2
        found.append(Distance("types of events (share of views)", name, ours["view"], real.types["view"], apart))
    for curve, values in real.curves.items():
        mine = whole.curves[curve]
        apart = float(np.abs(np.array(mine) - np.array(values)).max())
        found.append(Distance(f"{curve} (median)", name, _median(curve, mine), _median(curve, values), apart))
    for number, value in real.numbers.items():
        mine_too = (measured if number.startswith("slope") else whole).numbers[number]
        found.append(Distance(number, name, mine_too, value, abs(mine_too - value)))
    return found


def _among(types: Mapping[str, float], others: Mapping[str, float]) -> dict[str, float]:
    """Shares among the types that the other log has as well."""
    total = sum(types[name] for name in others)
    return {name: types[name] / total for name in others}


def _median(curve: str, values: list[float]) -> float:
    place = min(int(np.searchsorted(values, 0.5)), len(values) - 1)
    return float(GRIDS[curve][place])
