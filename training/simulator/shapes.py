"""The aggregate shape of a shop's log: shares of types, sessions, pauses, rhythm, prices, margins, popularity.

A shape is a few cumulative distributions at fixed places and a few numbers. It says nothing of any customer or item.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.simulator.parameters import TYPES

__all__ = ["GRIDS", "SESSION_S", "Shape", "ShapeLog", "shape_of", "within"]

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
DAY_S = 86_400
SESSION_S = 1_800

GRIDS: dict[str, Floats] = {
    "events in a session": np.arange(1.0, 65.0),
    "seconds between events": np.geomspace(1, 1_800, 40),
    "events of a customer, by the mean": np.geomspace(0.02, 20, 40),
    "days between purchases": np.arange(1.0, 91.0),
    "price, by the median": np.geomspace(0.02, 50, 40),
    "margin": np.linspace(-0.5, 0.6, 45),
}
"""Where each cumulative distribution is told."""

_RANKS = (10, 500)  # between these the slope of counts over ranks is measured, both in logarithms


@dataclass(frozen=True, eq=False)
class ShapeLog:
    """What of a log its shape is made of, one value an event; `kind` is the place in `TYPES`.

    `price` is per piece and NaN where there is none, `margin` (price - cost) / price of purchases.
    """

    customer: Whole
    second: Whole
    kind: Whole
    item: Whole
    price: Floats | None = None
    margin: Floats | None = None


@dataclass(frozen=True)
class Shape:
    """A shape: `types` (share by name), `curves` (values of the cumulative distribution on its grid), `numbers`.

    `days` is how much time the log covers, `events` how many it has.
    """

    days: float
    events: int
    types: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Return the shape as JSON-able data."""
        return dict(self.__dict__)


def shape_of(log: ShapeLog, days: float) -> Shape:
    """Measure a log that covers `days` days; what it has no data for is left out."""
    order = np.lexsort((log.second, log.customer))
    customer, second, kind = log.customer[order], log.second[order], log.kind[order]
    present = [name for number, name in enumerate(TYPES) if (kind == number).any()]
    curves: dict[str, list[float]] = {}
    numbers = {"slope of popularity": _slope(log.item)}
    shares = {name: float((kind == TYPES.index(name)).mean()) for name in present}
    if len(present) > 1:
        curves |= _sessions(customer, second, kind, numbers)
    if days >= max(GRIDS["days between purchases"]):
        curves["days between purchases"] = _curve("days between purchases", _gaps(customer, second, kind))
    if log.price is not None:
        price = log.price[np.isfinite(log.price) & (log.price > 0)]
        curves["price, by the median"] = _curve("price, by the median", price / np.median(price))
    if log.margin is not None:
        curves["margin"] = _curve("margin", log.margin[np.isfinite(log.margin)])
    return Shape(days, len(kind), shares if len(present) > 1 else {}, curves, numbers)


def within(log: ShapeLog, first: float, days: float, events: int | None = None) -> ShapeLog:
    """Return the part of a log in a window of `days` days from day `first` on, at most about `events` of it.

    Of too many events whole customers are left out, in the order of a hash that has nothing to do with them.
    """
    keep = (log.second >= first * DAY_S) & (log.second < (first + days) * DAY_S)
    if events is not None and keep.sum() > events:
        place = (log.customer * 2_654_435_761) % 2**32 / 2**32
        keep &= place < events / keep.sum()
    parts: Mapping[str, NDArray[np.float64] | None] = {"price": log.price, "margin": log.margin}
    return ShapeLog(
        log.customer[keep],
        log.second[keep],
        log.kind[keep],
        log.item[keep],
        **{name: None if values is None else values[keep] for name, values in parts.items()},
    )


def _sessions(customer: Whole, second: Whole, kind: Whole, numbers: dict[str, float]) -> dict[str, list[float]]:
    """Curves of a log that has more than purchases; conversion goes into `numbers`."""
    pause = np.diff(second)
    same = (np.diff(customer) == 0) & (pause < SESSION_S)
    session = np.cumsum(np.concatenate([[0], ~same]))
    length = np.bincount(session)
    each = np.unique(customer, return_counts=True)[1]
    bought = np.bincount(session, kind == TYPES.index("purchase")) > 0
    carts, purchases = ((kind == TYPES.index(name)).sum() for name in ("add_to_cart", "purchase"))
    numbers["sessions with a purchase"] = float(bought.mean())
    numbers["purchases per cart"] = float(purchases / max(carts, 1))
    return {
        "events in a session": _curve("events in a session", length),
        "seconds between events": _curve("seconds between events", np.maximum(pause[same], 1)),
        "events of a customer, by the mean": _curve("events of a customer, by the mean", each / each.mean()),
    }


def _gaps(customer: Whole, second: Whole, kind: Whole) -> Whole:
    """Days from each day with a purchase to the customer's next one."""
    bought = kind == TYPES.index("purchase")
    pairs = np.unique(np.stack([customer[bought], second[bought] // DAY_S]), axis=1)
    gaps = np.diff(pairs[1])
    return np.asarray(gaps[np.diff(pairs[0]) == 0])


def _slope(item: Whole) -> float:
    """How fast popularity falls with the rank: the slope of log counts over log ranks."""
    counts = np.sort(np.unique(item[item >= 0], return_counts=True)[1])[::-1]
    ranks = np.arange(_RANKS[0], min(_RANKS[1], len(counts)) + 1)
    return float(np.polyfit(np.log(ranks), np.log(counts[ranks - 1]), 1)[0]) if len(ranks) > 2 else 0.0


def _curve(name: str, values: NDArray[np.float64] | Whole) -> list[float]:
    ordered = np.sort(values)
    found = np.searchsorted(ordered, GRIDS[name] * (1 + 1e-9) + 1e-12, side="right") / max(len(ordered), 1)
    return [round(float(one), 6) for one in found]
