"""The tiny shop's items: what the store holds of them and of customers' events, and a model of them in the bundle."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from feature_repo.events import event_key
from feature_repo.streaming.online import OnlineViews
from feature_repo.streaming.views import USER_EVENTS
from feature_repo.transforms.encoding import NumericColumn, TabularEncoding
from feature_repo.transforms.feature_sets import item_ranking_features
from feature_repo.transforms.ragged import Ragged
from intent_stores.packed_sqlite import PackedSqliteFile
from services.feature_lookup import read_views, views_of
from tests.online_store import PROJECT, Rows, write_rows
from tests.tiny_shop import AT_US, DAY_US, export_trees, linear_formula, sigmoid, write_member
from training.ensemble.combine import Calibration, Ensemble, combine
from training.packaging.bundle import Bundle
from training.packaging.golden import golden_vectors
from training.packaging.write_bundle import BundleFacts, BundlePart, write_bundle

ITEMS = [f"{number}" for number in range(1, 7)]
"""From the item that is bought least to the one that is bought most."""
ITEM_HORIZON_DAYS = 14
ITEM_MEMBERS = ("popularity", "boosted_trees")
ITEM_FEATURES = {
    "views": {
        "user_events": {"join_keys": ["user_id"], "ttl_seconds": 0, "fields": dict(USER_EVENTS.fields)},
        "item_catalogue": {
            "join_keys": ["item_id"],
            "ttl_seconds": 0,
            "fields": {"item_category": "String", "list_price": "Float64"},
        },
        "item_demand": {"join_keys": ["item_id"], "ttl_seconds": 0, "fields": {"item_purchases_total": "Float64"}},
    },
    "defaults": {},
}
HOW = {
    "service": "item_ranking",
    "calendar": {"zone": "UTC", "holidays": [], "seasons": False},
    "lookback_days": 7,
}
MakePart = Callable[[Path, dict], BundlePart]
_KINDS = ("view", "add_to_cart", "purchase")


def events_of(number: int) -> Rows:
    """Up to three events of customer `number`, hours before AT: each with an item of its own."""
    count = number % 4
    moments = [AT_US - DAY_US // 24 * hours for hours in range(count, 0, -1)]
    items = [ITEMS[(number + place) % len(ITEMS)] for place in range(count)]
    lists = {
        "event_at": moments,
        "event_known_at": moments,
        "event_key": [event_key(f"{number}-{place}") for place in range(count)],
        "event_type": list(_KINDS[:count]),
        "event_item": items,
        "event_category": [_category(item) for item in items],
        **dict.fromkeys(("event_quantity", "event_revenue", "event_cost", "event_price"), [1.0] * count),
    }
    return {f"{number:08d}": (AT_US - DAY_US // 24, lists)}


def item_rows() -> dict[str, Rows]:
    """View → its rows of all items."""
    known = AT_US - DAY_US
    return {
        "item_catalogue": {
            item: (known, {"item_category": _category(item), "list_price": 10.0 + int(item)}) for item in ITEMS
        },
        "item_demand": {item: (known, {"item_purchases_total": 10.0 * int(item)}) for item in ITEMS},
    }


def write_item_store(path: Path, customers: int = 12) -> None:
    """Add the items and the customers' events to an online store, as materialised: it is ready for more events."""
    store = PackedSqliteFile(path, PROJECT)
    events = {user: row for number in range(1, customers + 1) for user, row in events_of(number).items()}
    rows = {"user_events": events, **item_rows()}
    for view in views_of(read_views(ITEM_FEATURES), "user_id", "item_id"):
        store.create(view.name)
        write_rows(store, view, rows[view.name])
    OnlineViews(store).begin(0)
    store.close()


def write_item_bundle(customers: Path, target: Path, work: Path, make_part: MakePart | None = None) -> Path:
    """Write the bundle in `customers` with a model of items beside it to `target`; `work` is for the exports.

    `make_part` takes `work` and the facts, and returns the model: two members of this shop unless given.
    """
    tiny = Bundle.load(customers)
    names = ("seed", "horizon_days", "versions", "data_fingerprint", "metrics", "data_window")
    facts = {name: tiny.manifest[name] for name in names}
    content = {name: tiny.json(f"{name}.json") for name in ("ensemble", "features", "golden")}
    part = (make_part or _item_part)(work, facts | {"horizon_days": ITEM_HORIZON_DAYS, "features": HOW})
    write_bundle(target, members=customers / "members", **content, facts=BundleFacts(**facts), item=part)
    return target


def _item_part(work: Path, facts: dict) -> BundlePart:
    columns, at_us = pair_columns([events_of(number) for number in range(1, 5)])
    features = item_ranking_features(columns, at_us)
    members = {"popularity": _export_popularity(work, features), "boosted_trees": _export_trees(work, features)}
    ensemble = Ensemble("log_odds", ITEM_MEMBERS, (0.5, 0.5), calibration=Calibration("platt", slope=0.9))
    golden = golden_vectors(columns, at_us, combine(ensemble, members), members)
    return BundlePart(work, ensemble.to_json(), ITEM_FEATURES, golden, facts)


def pair_columns(shop: Sequence[Rows]) -> tuple[dict, np.ndarray]:
    """Return the columns of every customer, of `user_events`, with every item, and AT for each pair."""
    customers = [lists for rows in shop for _, lists in rows.values() for _ in ITEMS]
    columns: dict = {}
    for name, kind in USER_EVENTS.fields.items():
        cells = [lists[name] for lists in customers]
        dtype = object if kind == "Array(String)" else np.int64 if kind == "Array(Int64)" else np.float64
        ends = np.cumsum([0, *map(len, cells)], dtype=np.int64)
        columns[name] = Ragged(np.array([value for cell in cells for value in cell], dtype), ends)
    times = len(customers) // len(ITEMS)
    for rows in item_rows().values():
        for name in next(iter(rows.values()))[1]:
            cells = [values[name] for _, values in rows.values()] * times
            columns[name] = np.array(cells, object if name == "item_category" else np.float64)
    columns["item_id"] = np.array(ITEMS * times, object)
    return columns, np.full(len(customers), AT_US, np.int64)


def _export_popularity(work: Path, features) -> np.ndarray:
    encoding = TabularEncoding(
        (
            NumericColumn("item_purchases_total", fill=0.0, scale=20.0),
            NumericColumn("item_events", fill=0.0),
            NumericColumn("item_days_since_event", fill=30.0, scale=30.0),
        )
    )
    weights = np.array([[0.5], [1.0], [-1.0]], np.float32)
    write_member(work, "popularity", "onnx", linear_formula(weights), encoding)
    return sigmoid(encoding.apply(features) @ weights)[:, 0].astype(np.float64)


def _export_trees(work: Path, features) -> np.ndarray:
    encoding = TabularEncoding(
        (NumericColumn("item_purchases_total"), NumericColumn("item_events"), NumericColumn("list_price"))
    )
    table = encoding.apply(features)
    return export_trees(work, encoding, table, table[:, 1] > 0)


def _category(item: str) -> str:
    return "even" if int(item) % 2 == 0 else "odd"
