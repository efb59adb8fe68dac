"""Models that share a shop's customers look equally far ahead: a batch of answers tells one horizon."""

from feature_repo.errors import BundleError
from training.packaging.bundle import Bundle
from training.packaging.item_part import item_part

__all__ = ["require_same_horizon"]


def require_same_horizon(champion: Bundle, challenger: Bundle) -> None:
    """Refuse a challenger that would answer a share of the customers for another horizon than the champion.

    Of items it is asked where both have a model of them: without one, the champion answers for its challenger.

    Raises:
        BundleError: the horizons differ, of customers or of items.
    """
    pairs = {"customers": (champion, challenger), "items": (item_part(champion), item_part(challenger))}
    for what, (ours, theirs) in pairs.items():
        if ours is not None and theirs is not None and ours.horizon_days != theirs.horizon_days:
            raise BundleError(
                f"Challenger {challenger.tag} answers about {what} for {theirs.horizon_days} days, champion "
                f"{champion.tag} for {ours.horizon_days}; expected the same of models that share the customers. Give "
                "it no share (`intent promote` with --shadow alone), or promote it to champion."
            )
