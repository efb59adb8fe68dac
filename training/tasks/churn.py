"""Will nothing be heard of this customer for a whole horizon?"""

from training.dataset.anchor_rules import CustomerRule
from training.tasks.contract import Task

__all__ = ["TASK"]

TASK = Task(
    name="churn",
    asks="Will nothing be heard of this customer for {horizon}?",
    label="no event of any type in (t, t + horizon]",
    rule=CustomerRule(None, absent=True),
    service="customer_events",
    takes=("horizon_days", "horizon_hours", "known_by"),
    core_features=("seconds_since_event", "recent_events", "event_count_7d", "event_count_30d"),
)
