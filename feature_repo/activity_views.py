"""What a customer did lately, and how close to an item: computed on demand from the last events, at the request's t.

Feast keeps a view's function in the registry as source text and runs it without this module around it: each imports
what it calls.
"""

import pandas as pd
from feast import FeatureView, OnDemandFeatureView
from feast.field import Field
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64

from feature_repo.data_sources import context_request
from feature_repo.transforms.activity import ACTIVITY_FIELDS, ACTIVITY_NAMES
from feature_repo.transforms.affinity import AFFINITY_FIELDS, AFFINITY_NAMES

__all__ = ["user_activity", "user_item_affinity"]


def user_activity(events: FeatureView) -> OnDemandFeatureView:
    """Windows, running session and breadth of interest at `request_at`, from the lists of `user_events`."""

    def user_activity(inputs: pd.DataFrame) -> pd.DataFrame:
        from feature_repo.transforms.activity import activity_features

        return pd.DataFrame(activity_features(inputs, inputs["request_at"].to_numpy("int64")))

    declare = on_demand_feature_view(
        sources=[events[list(ACTIVITY_FIELDS)], context_request()],
        schema=[Field(name=name, dtype=Float64) for name in ACTIVITY_NAMES],
        mode="pandas",
    )
    view: OnDemandFeatureView = declare(user_activity)
    return view


def user_item_affinity(events: FeatureView, catalogue: FeatureView) -> OnDemandFeatureView:
    """Affinity of a customer to an item and its category at `request_at`; the item is the row's join key `item_id`."""

    def user_item_affinity(inputs: pd.DataFrame) -> pd.DataFrame:
        from feature_repo.errors import FeatureError
        from feature_repo.transforms.affinity import affinity_features

        if "item_id" not in inputs and "user_id" in inputs:
            raise FeatureError(
                "Rows for user_item_affinity have no column 'item_id'; expected the item's join key under that name. "
                "Do not rename it by a join_key_map."
            )
        # Feast tries a view out at `apply`, on a made-up row without keys.
        keyed = inputs if "item_id" in inputs else inputs.assign(item_id=None)
        return pd.DataFrame(affinity_features(keyed, keyed["request_at"].to_numpy("int64")))

    declare = on_demand_feature_view(
        sources=[events[list(AFFINITY_FIELDS)], catalogue[["item_category"]], context_request()],
        schema=[Field(name=name, dtype=Float64) for name in AFFINITY_NAMES],
        mode="pandas",
    )
    view: OnDemandFeatureView = declare(user_item_affinity)
    return view
