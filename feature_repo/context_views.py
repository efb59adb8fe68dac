"""What a request itself says, computed on demand by the same transforms offline and online."""

import pandas as pd
from feast import OnDemandFeatureView
from feast.field import Field
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Int64

from feature_repo.data_sources import context_request
from feature_repo.transforms import context

__all__ = ["request_context"]

_NAMES = ("request_hour", "request_weekday", "request_is_weekend", "request_month")


def request_context() -> OnDemandFeatureView:
    """Hour, weekday, weekend and month (UTC) of the request's moment `request_at`."""

    def request_context(inputs: pd.DataFrame) -> pd.DataFrame:
        at = inputs["request_at"].to_numpy("int64")
        return pd.DataFrame({name: getattr(context, name)(at) for name in _NAMES})

    declare = on_demand_feature_view(
        sources=[context_request()], schema=[Field(name=name, dtype=Int64) for name in _NAMES], mode="pandas"
    )
    view: OnDemandFeatureView = declare(request_context)
    return view
