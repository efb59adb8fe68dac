"""Which views a model uses: the contract between a training set and the service."""

from feast import FeatureService, FeatureView

__all__ = ["purchase_within_horizon"]


def purchase_within_horizon(profile: FeatureView, history: FeatureView, baskets: FeatureView) -> FeatureService:
    """Will this customer buy in the coming days? Needs no item, and no event but purchases."""
    return FeatureService(name="purchase_within_horizon", features=[profile, history, baskets])
