"""The training set: each anchor with its features as they were known at its time, joined by Feast, row for row."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from feature_repo.errors import FeatureError
from training.dataset.bulk_views import can_compute, with_views
from training.dataset.service_definition import ServiceDefinition

__all__ = ["join_columns", "join_features"]

_ENTITY_COLUMNS = ("user_id", "item_id", "event_timestamp")
_REQUEST_AT = "request_at"


def join_features(store: Any, service: str | ServiceDefinition, anchors: pa.Table) -> pa.Table:
    """Return `anchors` with the columns of the feature service beside them.

    Args:
        store: a `feast.FeatureStore`.
        service: the feature service, by its name if it has no on-demand view. Else only its own features are
            returned, not the columns that they are computed from.
        anchors: `user_id`, perhaps `item_id`, `event_timestamp`, and whatever else; it is handed through as it is.
            The moment of a request, if a view asks for it, is the anchor's.

    Raises:
        FeatureError: Feast gave back other rows, or other keys in another order, than it was given; or a view asks
            of a request what an anchor does not say.
    """
    name, requested = (service, ()) if isinstance(service, str) else (service.name, service.request_columns)
    keys = [key for key in _ENTITY_COLUMNS[:2] if key in anchors.column_names]
    asked = anchors.select([*keys, "event_timestamp"])
    for column in requested:
        asked = asked.append_column(column, _of_request(anchors, column, name))
    joined = _joined(store, store.get_feature_service(name), asked, keys, None if isinstance(service, str) else service)
    if not isinstance(service, str):
        joined = joined.select(
            [column for column in joined.column_names if column in (*_ENTITY_COLUMNS, *service.features)]
        )
    for column in (column for column in anchors.column_names if column not in joined.column_names):
        joined = joined.append_column(column, anchors[column])
    index = joined.column_names.index("event_timestamp")
    return joined.set_column(index, "event_timestamp", joined["event_timestamp"].cast(pa.timestamp("us", tz="UTC")))


def join_columns(store: Any, view: str, features: Sequence[str], anchors: pa.Table) -> pa.Table:
    """Return features of one view at each anchor, row for row, without the anchors' own columns.

    Args:
        store: a `feast.FeatureStore`.
        view: a view of the registry, on-demand ones included.
        features: names of its features.
        anchors: the view's join keys, `event_timestamp`, and what an on-demand view asks of a request.

    Raises:
        FeatureError: as `join_features`.
    """
    keys = [name for name in anchors.column_names if name != "event_timestamp"]
    return _joined(store, [f"{view}:{name}" for name in features], anchors, keys).select(list(features))


def _joined(
    store: Any, features: Any, asked: pa.Table, keys: Sequence[str], service: ServiceDefinition | None = None
) -> pa.Table:
    job = store.get_historical_features(entity_df=asked.to_pandas(), features=features)
    if service is not None and can_compute(service.on_demand) and hasattr(job, "to_coded_arrow"):
        joined = _with_words(with_views(job.to_coded_arrow(), tuple(service.on_demand)))
    else:
        joined = job.to_arrow()
    if joined.num_rows != asked.num_rows or not all(_same(joined[key], asked[key]) for key in keys):
        raise FeatureError(
            f"The point-in-time join returned {joined.num_rows} rows for {asked.num_rows} anchors, or in another "
            "order; expected exactly the anchors' rows. Use the offline store intent_stores.offline_asof."
        )
    return joined


def _with_words(table: pa.Table) -> pa.Table:
    """Give lists of dictionary codes their words back."""
    for place, field in enumerate(table.schema):
        if pa.types.is_list(field.type) and pa.types.is_dictionary(field.type.value_type):
            plain = pa.list_(field.type.value_type.value_type)
            table = table.set_column(place, field.name, table.column(place).cast(plain))
    return table


def _of_request(anchors: pa.Table, column: str, service: str) -> Any:
    if column in anchors.column_names:
        return anchors[column]
    if column == _REQUEST_AT:
        return anchors["event_timestamp"].cast(pa.int64())
    raise FeatureError(
        f"Feature service {service!r} asks {column!r} of a request; got anchors with {anchors.column_names}; expected "
        "that column among them. Add it to the anchors, or choose another service."
    )


def _same(one: Any, other: Any) -> bool:
    return bool(one.cast(pa.string()).combine_chunks().equals(other.cast(pa.string()).combine_chunks()))
