"""Forty customers with up to twelve events each, and networks small enough to be fitted to them in a test."""

import numpy as np

from feature_repo.events import event_key
from tests.online_store import Rows
from tests.tiny_items import ITEMS
from tests.tiny_shop import AT_US, DAY_US
from training.models import member, member_names
from training.models.network.member import NetworkMember

NETWORKS = tuple(name for name in member_names() if isinstance(member(name), NetworkMember))
SMALL = {"epochs": 2, "units": 8, "hidden": 8, "batch": 64, "learning_rate": 0.02}
CUSTOMERS = 40
KINDS = ("view", "favourite", "add_to_cart", "purchase")


def events_of(number: int) -> Rows:
    """Up to twelve events of all kinds of customer `number` in the 20 days before AT; some have none."""
    random, count = np.random.default_rng(number), number % 13
    before = np.sort(random.integers(1, 20 * 1440, count))[::-1]
    moments = (AT_US - before * (DAY_US // 1440)).tolist()
    items, kinds = random.choice(ITEMS, count).tolist(), random.choice(KINDS, count).tolist()
    paid = [float(random.integers(1, 90)) if kind == "purchase" else np.nan for kind in kinds]
    lists = {
        "event_at": moments,
        "event_known_at": moments,
        "event_key": [event_key(f"{number}-{place}") for place in range(count)],
        "event_type": kinds,
        "event_item": items,
        "event_category": ["even" if int(item) % 2 == 0 else "odd" for item in items],
        **dict.fromkeys(("event_quantity", "event_revenue", "event_cost", "event_price"), paid),
    }
    return {f"{number:08d}": (AT_US - DAY_US // 1440, lists)}


SHOP = [events_of(number) for number in range(1, CUSTOMERS + 1)]
