"""The training set: each anchor with its features as they were known at its time, joined by Feast, row for row."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.errors import FeatureError

__all__ = ["join_features"]


def join_features(store: Any, service: str, anchors: pa.Table) -> pa.Table:
    """Return `anchors` with the columns of the feature service beside them.

    Args:
        store: a `feast.FeatureStore`.
        service: name of the feature service.
        anchors: `user_id`, `event_timestamp`, and whatever else; it is handed through as it is.

    Raises:
        FeatureError: Feast gave back other rows, or other keys in another order, than it was given.
    """
    entity_frame = anchors.select(["user_id", "event_timestamp"]).to_pandas()
    features = store.get_feature_service(service)
    joined = store.get_historical_features(entity_df=entity_frame, features=features).to_arrow()
    if joined.num_rows != anchors.num_rows or not pc.all(pc.equal(joined["user_id"], anchors["user_id"])).as_py():
        raise FeatureError(
            f"The point-in-time join returned {joined.num_rows} rows for {anchors.num_rows} anchors, or in another "
            "order; expected exactly the anchors' rows. Use the offline store intent_stores.offline_asof."
        )
    extra = [name for name in anchors.column_names if name not in joined.column_names]
    for name in extra:
        joined = joined.append_column(name, anchors[name])
    index = joined.column_names.index("event_timestamp")
    return joined.set_column(index, "event_timestamp", joined["event_timestamp"].cast(pa.timestamp("us", tz="UTC")))
