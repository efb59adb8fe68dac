"""The only module that Feast imports (`.feastignore` lists the rest): every object, by name, for one run's folder.

The run's folder is `artifacts/demo` unless the environment variable `INTENT_OUT` names another, absolute or relative
to the folder above this one.
"""

import os
from typing import Any

from feature_repo import activity_views, context_views, entities, feature_services, item_views, user_views

__all__ = ["definitions"]

# Feast resolves relative paths against this folder, whose parent is the project's.
_ROOT = os.path.join("..", os.environ.get("INTENT_OUT", "artifacts/demo"))  # noqa: PTH118  keeps an absolute one


def definitions(root: str) -> dict[str, Any]:
    """Return every Feast object of the repository by name, with its sources below `root`."""
    views = {
        build.__name__: build(root)
        for build in (
            user_views.user_profile,
            user_views.user_history,
            user_views.user_baskets,
            user_views.user_events,
            user_views.user_counters,
            item_views.item_catalogue,
            item_views.item_demand,
        )
    }
    service = feature_services.purchase_within_horizon(
        views["user_profile"], views["user_history"], views["user_baskets"]
    )
    of_customer = [views[name] for name in ("user_profile", "user_history", "user_baskets", "user_events")]
    of_item = [views[name] for name in ("item_catalogue", "item_demand")]
    user_activity = activity_views.user_activity(views["user_events"])
    user_item_affinity = activity_views.user_item_affinity(views["user_events"], views["item_catalogue"])
    return {
        "user": entities.user,
        "item": entities.item,
        **views,
        "request_context": context_views.request_context(),
        "user_activity": user_activity,
        "user_item_affinity": user_item_affinity,
        "purchase_within_horizon": service,
        "customer_events": feature_services.customer_events(*of_customer),
        "customer_item_events": feature_services.customer_item_events(*of_customer, *of_item),
        "item_ranking": feature_services.item_ranking(views["user_events"], *of_item),
        "customer_activity": feature_services.customer_activity(user_activity, user_item_affinity),
    }


# Feast collects what it finds by name in this module.
globals().update(definitions(_ROOT))
