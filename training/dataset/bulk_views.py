"""The repository's on-demand views of activity and affinity, computed in bulk: the same bits in a fraction of the time.

Feast gives an on-demand view a pandas frame, in which every word of every list is a Python object. The functions behind
these views take the join's Arrow lists as they are.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import pyarrow as pa

from feature_repo.transforms.activity import activity_features
from feature_repo.transforms.affinity import affinity_features

__all__ = ["can_compute", "with_views"]

_IN_BULK: dict[str, Callable[[Mapping[str, Any], Any], Mapping[str, Any]]] = {
    "user_activity": activity_features,
    "user_item_affinity": affinity_features,
}
_REQUEST_AT = "request_at"


def can_compute(on_demand: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether all of a service's on-demand views (`ServiceDefinition.on_demand`) are these, unchanged.

    A view that was registered with another function than this code's is left to Feast.
    """
    own = _own_functions()
    return bool(on_demand) and all(own.get(name) == view["function"] for name, view in on_demand.items())


def with_views(joined: pa.Table, views: Sequence[str]) -> pa.Table:
    """Return a join with the features of on-demand views beside its columns, null where one is not known.

    Args:
        joined: the views' inputs, lists of text as lists of dictionary codes or not, and `request_at`, int64
            microseconds since 1970.
        views: names for which `can_compute` holds.
    """
    columns = {name: joined[name] for name in joined.column_names}
    at_us = joined[_REQUEST_AT].to_numpy()
    for view in views:
        for name, values in _IN_BULK[view](columns, at_us).items():
            joined = joined.append_column(name, pa.array(values, pa.float64(), from_pandas=True))
    return joined


@cache
def _own_functions() -> dict[str, str]:
    """SHA-256 of each view's function as this code would register it."""
    # Here, because importing Feast costs seconds, which not everybody who reads a training set has to pay.
    from feature_repo import activity_views, item_views, user_views

    events = user_views.user_events("nowhere")
    views = (
        activity_views.user_activity(events),
        activity_views.user_item_affinity(events, item_views.item_catalogue("nowhere")),
    )
    return {
        view.name: hashlib.sha256(str(view.feature_transformation.udf_string).encode()).hexdigest() for view in views
    }
