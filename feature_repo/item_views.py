"""What is known about an item: the catalogue over time, and its demand."""

from datetime import timedelta

from feast import FeatureView
from feast.field import Field
from feast.types import Float64, String

from feature_repo.data_sources import file_source
from feature_repo.entities import item

__all__ = ["item_catalogue", "item_demand"]

FOREVER = timedelta(0)


def item_catalogue(root: str) -> FeatureView:
    """Category, brand, title, and price and cost a piece as they were; null where the shop does not know."""
    return FeatureView(
        name="item_catalogue",
        entities=[item],
        ttl=FOREVER,
        schema=[Field(name=n, dtype=String) for n in ("item_category", "brand", "title")]
        + [Field(name=n, dtype=Float64) for n in ("list_price", "unit_cost")],
        source=file_source("item_catalogue", root),
    )


def item_demand(root: str) -> FeatureView:
    """Sales in all, and in (t - 7 d, t] and (t - 30 d, t]: exact at every t, for a sale's expiry is a row as well."""
    totals = [f"item_{name}_total" for name in ("purchases", "buyers", "pieces", "revenue")]
    windows = [f"item_{name}_{days}d" for days in (7, 30) for name in ("purchases", "pieces", "revenue")]
    return FeatureView(
        name="item_demand",
        entities=[item],
        ttl=FOREVER,
        schema=[Field(name=n, dtype=Float64) for n in totals + windows],
        source=file_source("item_demand", root),
    )
