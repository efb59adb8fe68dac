"""Examples of a simulated shop: customers at own rates who leave at some point, and weeks of very different demand."""

from collections.abc import Iterator

import numpy as np

from feature_repo.transforms.customer import CustomerFeatures, customer_features
from feature_repo.transforms.ragged import Ragged
from training.dataset.examples import Examples

DAY_US = 86_400_000_000
HORIZON_DAYS = 7
FIRST_ANCHOR = 42
# How many of the purchases happen at all in each week of the label: the third one is a holiday.
DEMAND = (1.0, 1.1, 0.3, 0.9, 0.8, 1.0, 1.2, 0.9)
TRAIN_DATES = 5


def simulated_examples(customers: int = 700, seed: int = 1) -> tuple[Examples, Examples]:
    """Return a training period of five weekly dates and a validation period of three."""
    random = np.random.default_rng(seed)
    days = FIRST_ANCHOR + 7 * len(DEMAND)
    purchases = [_days_of_purchases(random, days) for _ in range(customers)]
    areas = random.choice(["north", "south", "harbour"], customers)
    dates = [FIRST_ANCHOR + 7 * week for week in range(len(DEMAND))]
    rows = [(date, who) for date in dates for who in range(customers) if (purchases[who] <= date).any()]
    features = _features(rows, purchases, areas)
    label = np.array([((purchases[w] > d) & (purchases[w] <= d + HORIZON_DAYS)).any() for d, w in rows], np.int8)
    users = np.array([f"customer {who}" for _, who in rows], object)
    examples = Examples(users, np.array([date for date, _ in rows]) * DAY_US, label, features)
    early = examples.anchor_us < dates[TRAIN_DATES] * DAY_US
    return examples.take(early), examples.take(~early)


class InParts(Examples):
    """Examples that say they are on disk, and are asked for part by part."""

    @property
    def stored(self) -> bool:
        return True

    def parts(self, rows: int = 37) -> Iterator[Examples]:
        for start in range(0, len(self), rows):
            yield self.take(np.arange(start, min(start + rows, len(self))))

    @classmethod
    def of(cls, examples: Examples) -> "InParts":
        return cls(examples.user_id, examples.anchor_us, examples.label, examples.features)


def nothing_known(customers: int, at_day: int = 100) -> CustomerFeatures:
    """Return the features of customers of whom no store knows anything."""
    return customer_features({}, np.full(customers, at_day * DAY_US))


def _days_of_purchases(random: np.random.Generator, days: int) -> np.ndarray:
    """Return the days of one customer's purchases, at noon; weeks of low demand lose some."""
    start, rate = random.uniform(0, FIRST_ANCHOR), random.gamma(1.2, 1 / 14)
    moments = [start]
    while moments[-1] < days and random.random() > 0.08:
        moments.append(moments[-1] + random.exponential(1 / rate))
    found = np.unique(np.floor(moments)) + 0.5
    week = ((found - FIRST_ANCHOR) // 7).astype(int)
    demand = np.where(week < 0, 1.0, np.take(DEMAND, np.clip(week, 0, len(DEMAND) - 1)))
    kept = random.random(len(found)) < demand
    kept[0] = True
    return found[kept & (found < days)]


def _features(rows: list[tuple[int, int]], purchases: list[np.ndarray], areas: np.ndarray) -> CustomerFeatures:
    known = [purchases[who][purchases[who] <= date] for date, who in rows]
    offsets = np.concatenate([[0], np.cumsum([len(days) for days in known])]).astype(np.int64)
    moments = (np.concatenate(known) * DAY_US).astype(np.int64)
    lines = 1.0 + moments // DAY_US % 5
    count = np.diff(offsets).astype(float)
    total = np.add.reduceat(lines, offsets[:-1])
    columns = {
        "area": np.array([areas[who] if who % 10 else None for _, who in rows], object),
        "lifetime_baskets": count,
        "lifetime_lines": total,
        "lifetime_quantity": total * 2,
        "lifetime_revenue": total * 30,
        "lifetime_cost": total * 25,
        "distinct_items": total,
        "distinct_categories": count,
        "first_purchase_at": moments[offsets[:-1]].astype(float),
        "last_purchase_at": moments[offsets[1:] - 1].astype(float),
        "basket_at": Ragged(moments, offsets),
        "basket_lines": Ragged(lines, offsets),
        "basket_quantity": Ragged(lines * 2, offsets),
        "basket_revenue": Ragged(lines * 30, offsets),
        "basket_cost": Ragged(lines * 25, offsets),
        "basket_items": Ragged(lines, offsets),
        "basket_categories": Ragged(np.ones_like(lines), offsets),
    }
    return customer_features(columns, np.array([date for date, _ in rows]) * DAY_US)
