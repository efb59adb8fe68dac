"""Will this customer put something into the cart within the horizon?"""

from training.dataset.anchor_rules import CustomerRule
from training.tasks.contract import Task

__all__ = ["TASK"]

TASK = Task(
    name="add_to_cart",
    asks="Will this customer put something into the cart within the next {horizon}?",
    label="at least one add_to_cart in (t, t + horizon]",
    rule=CustomerRule("add_to_cart"),
    service="customer_events",
    takes=("horizon_days", "horizon_hours", "known_by"),
    core_features=("seconds_since_event", "event_count_7d", "add_to_cart_count_7d", "seconds_since_last_cart"),
)
