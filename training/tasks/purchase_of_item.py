"""Will this customer buy this item within the horizon, among those that the customer had to do with lately?"""

from training.dataset.anchor_rules import ItemRule
from training.tasks.contract import Task

__all__ = ["TASK"]

TASK = Task(
    name="purchase_of_item",
    asks="Will this customer buy this item within the next {horizon}?",
    label="a purchase of the item in (t, t + horizon]; candidates are the items of the last lookback_days",
    entities=("user_id", "item_id"),
    rule=ItemRule("purchase"),
    service="customer_item_events",
    takes=("horizon_days", "horizon_hours", "paid_only", "known_by", "lookback_days"),
    core_features=("item_days_since_event", "item_event_share", "item_carts", "item_events"),
)
