"""The two views that a stream keeps up to date online, as the packed stores know them: plain data, without Feast."""

from feature_repo.events import EVENT_TYPES, EVENTS_KEPT
from intent_stores.packed_merge import SequenceRule
from intent_stores.packed_view import PackedView

__all__ = ["SEQUENCE", "USER_COUNTERS", "USER_EVENTS"]

SEQUENCE = SequenceRule(EVENTS_KEPT, event_id="event_key", event_time="event_at", created_time="event_known_at")
"""How pushed events join the lists of `user_events`: what its source is tagged with."""

_DAY_US = 86_400_000_000

USER_EVENTS = PackedView(
    "user_events",
    {
        **dict.fromkeys(("event_at", "event_known_at", "event_key"), "Array(Int64)"),
        **dict.fromkeys(("event_type", "event_item", "event_category"), "Array(String)"),
        **dict.fromkeys(("event_quantity", "event_revenue", "event_cost", "event_price"), "Array(Float64)"),
    },
    ("user_id",),
)

USER_COUNTERS = PackedView(
    "user_counters",
    dict.fromkeys((*(f"{kind}_count" for kind in EVENT_TYPES), "first_event_at", "last_event_at"), "Int64"),
    ("user_id",),
    ttl_us=365 * _DAY_US,
)
