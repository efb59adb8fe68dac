"""Will this customer buy within the horizon?"""

from training.dataset.anchor_rules import CustomerRule
from training.tasks.contract import Task

__all__ = ["TASK"]

TASK = Task(
    name="purchase_within_horizon",
    asks="Will this customer buy within the next {horizon}?",
    label="at least one purchase in (t, t + horizon]",
    rule=CustomerRule("purchase"),
    service="purchase_within_horizon",
    takes=("horizon_days", "horizon_hours", "paid_only", "known_by"),
    servable=True,
)
