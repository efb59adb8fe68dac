"""What a request itself says, computed on demand by the same transforms offline and online.

Feast keeps the function in the registry as source text and runs it without this module around it: it imports what it
calls.
"""

import pandas as pd
from feast import OnDemandFeatureView
from feast.field import Field
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Int64

from feature_repo.data_sources import context_request
from feature_repo.transforms.context import CONTEXT_NAMES

__all__ = ["request_context"]


def request_context() -> OnDemandFeatureView:
    """Hour, weekday, weekend and month (UTC) of the request's moment `request_at`."""

    def request_context(inputs: pd.DataFrame) -> pd.DataFrame:
        from feature_repo.transforms.context import context_features

        return pd.DataFrame(context_features(inputs["request_at"].to_numpy("int64")))

    declare = on_demand_feature_view(
        sources=[context_request()], schema=[Field(name=name, dtype=Int64) for name in CONTEXT_NAMES], mode="pandas"
    )
    view: OnDemandFeatureView = declare(request_context)
    return view
