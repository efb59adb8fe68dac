"""Where each view's rows lie: one Parquet file a view, below the folder of a run."""

from feast import FileSource, RequestSource
from feast.field import Field
from feast.types import Int64

from feature_repo.events import BASKETS_KEPT, EVENTS_KEPT

__all__ = ["BASKETS_KEPT", "EVENTS_KEPT", "MERGED_BY", "context_request", "file_source"]

MERGED_BY = {
    "sequence.event_id": "event_key",
    "sequence.event_time": "event_at",
    "sequence.created_time": "event_known_at",
}
"""The features of `user_events` by which pushed events join its lists online."""


def file_source(
    name: str, root: str, sequence_length: int | None = None, merged_by: dict[str, str] | None = None
) -> FileSource:
    """Return the source of the view `name` below `root` (relative to the repository's folder, or absolute).

    With `sequence_length` the source holds one row an event, and the view over it gives lists of the last that many;
    `merged_by` are the tags that say how pushed events join them online.
    """
    tags = {} if sequence_length is None else {"sequence.length": str(sequence_length), **(merged_by or {})}
    return FileSource(
        name=name,
        path=f"{root}/features/{name}.parquet",
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
        tags=tags,
    )


def context_request() -> RequestSource:
    """What a request brings itself: its moment, int64 microseconds since 1970."""
    return RequestSource(name="context_request", schema=[Field(name="request_at", dtype=Int64)])
