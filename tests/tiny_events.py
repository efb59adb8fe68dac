"""The tiny shop with a model of customers that reads events of all kinds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from feature_repo.streaming.views import USER_EVENTS
from feature_repo.transforms.calendar import Calendar
from feature_repo.transforms.encoding import NumericColumn, TabularEncoding
from feature_repo.transforms.feature_sets import customer_event_features
from tests.online_store import Rows
from tests.tiny_items import ITEMS, events_of, pair_columns
from tests.tiny_shop import export_trees, linear_formula, sigmoid, write_member
from training.ensemble.combine import Ensemble, combine
from training.packaging.golden import golden_vectors
from training.packaging.write_bundle import BundleFacts, write_bundle

EVENT_FEATURES = {
    "views": {"user_events": {"join_keys": ["user_id"], "ttl_seconds": 0, "fields": dict(USER_EVENTS.fields)}},
    "defaults": {},
}
HOW = {"service": "customer_events", "calendar": Calendar("Asia/Shanghai").to_json()}
HORIZON_DAYS = 1


def write_event_bundle(target: Path, work: Path, how: dict | None = HOW) -> Path:
    """Write a bundle whose members count what a customer put into the cart; `work` is for the exports."""
    columns, at_us = customer_columns([events_of(number) for number in range(1, 9)])
    features = customer_event_features(columns, at_us)
    carts = TabularEncoding(
        (NumericColumn("add_to_cart_count_1h", fill=0.0), NumericColumn("event_count_7d", fill=0.0))
    )
    weights = np.array([[2.0], [0.1]], np.float32)
    write_member(work, "carts", "onnx", linear_formula(weights), carts)
    trees = TabularEncoding((NumericColumn("view_count_7d"), NumericColumn("local_hour")))
    table = trees.apply(features)
    members = {
        "carts": sigmoid(carts.apply(features) @ weights)[:, 0].astype(np.float64),
        "boosted_trees": export_trees(work, trees, table, table[:, 0] > 0),
    }
    return write_members(target, work, columns, at_us, members, how)


def customer_columns(rows: Sequence[Rows]) -> tuple[dict, np.ndarray]:
    """Return the columns of `user_events` of every customer, and AT for each."""
    columns, at_us = pair_columns(rows)
    first = np.arange(0, len(at_us), len(ITEMS))
    return {name: columns[name].take(first) for name in USER_EVENTS.fields}, at_us[first]


def write_members(
    target: Path, work: Path, columns: dict, at_us: np.ndarray, members: dict[str, np.ndarray], how: dict | None = HOW
) -> Path:
    """Write the bundle of the members exported to `work`, which weigh the same and give these probabilities."""
    ensemble = Ensemble("log_odds", tuple(members), (1 / len(members),) * len(members))
    facts = BundleFacts(
        seed=7,
        horizon_days=HORIZON_DAYS,
        versions={"numpy": np.__version__},
        data_fingerprint="0" * 64,
        metrics={"roc_auc": 0.75},
        data_window={"from": "2000-11-01", "to": "2001-02-28"},
        features=how,
    )
    golden = golden_vectors(columns, at_us, combine(ensemble, members), members)
    write_bundle(target, members=work, ensemble=ensemble.to_json(), features=EVENT_FEATURES, golden=golden, facts=facts)
    return target
