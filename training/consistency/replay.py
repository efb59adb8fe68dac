"""What training would have seen at the moment of each answer: the offline join, and the transforms on its result."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.errors import FeatureError
from feature_repo.transforms.columns import columns_of
from feature_repo.transforms.customer import customer_features
from feature_repo.transforms.ragged import Ragged
from training.consistency.served_log import ServedView
from training.dataset.point_in_time import join_columns

__all__ = ["TRANSFORMS", "replay", "require_registered"]

_REQUEST_AT = "request_at"


def replay(store: Any, views: Mapping[str, ServedView], asked: pa.Table) -> dict[str, pa.Table]:
    """Return the fields of `views` as the offline store knows them at each moment, row for row.

    Args:
        store: a `feast.FeatureStore`.
        views: views of the registry, and names of `TRANSFORMS`, which are computed from the others.
        asked: join keys (string) and `event_timestamp` (timestamp[us, UTC]: t).

    Raises:
        FeatureError: the join did not give the rows that were asked for.
    """
    joined = {name: _joined(store, name, view, asked) for name, view in views.items() if name not in TRANSFORMS}
    for name in views.keys() & TRANSFORMS.keys():
        columns = {field: values for table in joined.values() for field, values in columns_of(table).items()}
        at_us = asked["event_timestamp"].cast(pa.int64()).combine_chunks().to_numpy()
        computed = TRANSFORMS[name](columns, at_us)
        joined[name] = pa.table({field: _arrow(computed[field]) for field in views[name].fields if field in computed})
    return joined


def require_registered(store: Any, views: Mapping[str, ServedView]) -> None:
    """Refuse a log whose views, or whose fields, the registry does not have, or has with another type.

    Raises:
        FeatureError: the message names them.
    """
    kinds = {view.name: {field.name: str(field.dtype) for field in view.features} for view in _registered(store)}
    outputs = {name: set(transform({}, np.empty(0, np.int64))) for name, transform in TRANSFORMS.items()}
    unknown = [name for name in views if name not in kinds | outputs]
    for name, view in views.items():
        if name in outputs:
            unknown += [f"{name}:{field}" for field in view.fields if field not in outputs[name]]
        elif name in kinds:
            served = [(field, kind) for field, kind in view.fields.items() if kinds[name].get(field) != kind]
            unknown += [f"{name}:{field} ({kind})" for field, kind in served]
    if unknown:
        raise FeatureError(
            f"The served log holds {', '.join(sorted(unknown))}, which the registry does not have; expected the "
            "definitions that were served. Run `intent apply` with them, or move older parts out of the folder."
        )


def _model_inputs(columns: Mapping[str, Any], at_us: Any) -> dict[str, Any]:
    features = customer_features(columns, at_us)
    return {**features.numeric, **features.categorical, **features.sequences}


TRANSFORMS: dict[str, Callable[[Mapping[str, Any], Any], dict[str, Any]]] = {"customer_features": _model_inputs}
"""What a model is given, by the name under which it is logged: columns and t (int64 microseconds) → outputs."""


def _registered(store: Any) -> list[Any]:
    return [*store.list_feature_views(), *store.list_on_demand_feature_views()]


def _joined(store: Any, name: str, view: ServedView, asked: pa.Table) -> pa.Table:
    rows = asked.select([*view.join_keys, "event_timestamp"])
    rows = rows.append_column(_REQUEST_AT, rows["event_timestamp"].cast(pa.int64()))
    return join_columns(store, name, list(view.fields), rows)


def _arrow(values: Any) -> Any:
    if isinstance(values, Ragged):
        return pa.ListArray.from_arrays(pa.array(values.offsets.astype(np.int32)), pa.array(values.values))
    return pa.array(values)
