"""What is known about a customer: profile, history, last baskets, last events, counters."""

from datetime import timedelta

from feast import FeatureView
from feast.field import Field
from feast.types import Array, Float64, Int64, String

from feature_repo.data_sources import BASKETS_KEPT, EVENTS_KEPT, MERGED_BY, file_source
from feature_repo.entities import user
from feature_repo.events import EVENT_TYPES

__all__ = ["user_baskets", "user_counters", "user_events", "user_history", "user_profile"]

# A time to live on a list would have to cut the list itself, offline and online alike; N already bounds it.
FOREVER = timedelta(0)
ONE_YEAR = timedelta(days=365)


def user_profile(root: str) -> FeatureView:
    """Slowly changing attributes; null where the shop does not know. Never expires."""
    return FeatureView(
        name="user_profile",
        entities=[user],
        ttl=FOREVER,
        schema=[Field(name=n, dtype=String) for n in ("age_group", "gender", "occupation", "country", "area")],
        source=file_source("user_profile", root),
    )


def user_history(root: str) -> FeatureView:
    """Totals since the log began; moments are int64 microseconds since 1970, amounts in the shop's currency."""
    totals = (
        "lifetime_baskets",
        "lifetime_lines",
        "lifetime_quantity",
        "lifetime_revenue",
        "lifetime_cost",
        "lifetime_returns",
        "distinct_items",
        "distinct_categories",
    )
    moments = ("first_purchase_at", "last_purchase_at")
    return FeatureView(
        name="user_history",
        entities=[user],
        ttl=ONE_YEAR,
        schema=[Field(name=n, dtype=Float64) for n in totals] + [Field(name=n, dtype=Int64) for n in moments],
        source=file_source("user_history", root),
    )


def user_baskets(root: str) -> FeatureView:
    """The last 50 baskets, oldest first: their moments (int64 microseconds since 1970) and sums."""
    sums = (
        "basket_lines",
        "basket_quantity",
        "basket_revenue",
        "basket_cost",
        "basket_items",
        "basket_categories",
    )
    return FeatureView(
        name="user_baskets",
        entities=[user],
        ttl=FOREVER,
        schema=[Field(name="basket_at", dtype=Array(Int64))] + [Field(name=n, dtype=Array(Float64)) for n in sums],
        source=file_source("user_baskets", root, BASKETS_KEPT),
    )


def user_events(root: str) -> FeatureView:
    """The last 256 events, oldest first; '' and NaN inside the lists where the shop says nothing.

    Moments are int64 microseconds since 1970; `event_key` is `feature_repo.events.event_key` of the event's id.
    `event_revenue` and `event_cost` are totals of what was bought; `event_price` is what one piece was offered for.
    """
    numbers = ("event_at", "event_known_at", "event_key")
    texts = ("event_type", "event_item", "event_category")
    amounts = ("event_quantity", "event_revenue", "event_cost", "event_price")
    return FeatureView(
        name="user_events",
        entities=[user],
        ttl=FOREVER,
        schema=[Field(name=n, dtype=Array(Int64)) for n in numbers]
        + [Field(name=n, dtype=Array(String)) for n in texts]
        + [Field(name=n, dtype=Array(Float64)) for n in amounts],
        source=file_source("user_events", root, EVENTS_KEPT, MERGED_BY),
    )


def user_counters(root: str) -> FeatureView:
    """How many events of each type are known, and when the first and the last happened (int64 microseconds)."""
    names = (*(f"{kind}_count" for kind in EVENT_TYPES), "first_event_at", "last_event_at")
    return FeatureView(
        name="user_counters",
        entities=[user],
        ttl=ONE_YEAR,
        schema=[Field(name=n, dtype=Int64) for n in names],
        source=file_source("user_counters", root),
    )
