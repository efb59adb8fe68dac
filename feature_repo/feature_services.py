"""Which views a model uses: the contract between a training set and the service."""

from feast import FeatureService, FeatureView, OnDemandFeatureView

__all__ = ["customer_activity", "customer_events", "customer_item_events", "item_ranking", "purchase_within_horizon"]


def purchase_within_horizon(profile: FeatureView, history: FeatureView, baskets: FeatureView) -> FeatureService:
    """Will this customer buy in the coming days? Needs no item, and no event but purchases."""
    return FeatureService(name="purchase_within_horizon", features=[profile, history, baskets])


def customer_activity(activity: OnDemandFeatureView, affinity: OnDemandFeatureView) -> FeatureService:
    """What a customer did lately, and how close to an item: for models that rank items or see more than purchases."""
    return FeatureService(name="customer_activity", features=[activity, affinity])


def customer_events(
    profile: FeatureView, history: FeatureView, baskets: FeatureView, events: FeatureView
) -> FeatureService:
    """Everything known of a customer, with the last events of all types: for shops that see more than purchases."""
    return FeatureService(name="customer_events", features=[profile, history, baskets, events])


def customer_item_events(*views: FeatureView) -> FeatureService:
    """The same, and an item's catalogue and demand: for questions about a customer and an item."""
    return FeatureService(name="customer_item_events", features=list(views))


def item_ranking(events: FeatureView, *of_item: FeatureView) -> FeatureService:
    """The customer's last events, and the items' catalogue and demand: to put hundreds of items in order in no time."""
    return FeatureService(name="item_ranking", features=[events, *of_item])
