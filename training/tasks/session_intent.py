"""Did this session end with a purchase? A benchmark on a table of whole sessions, not a forecast."""

from training.dataset.anchor_table import TableRule
from training.tasks.contract import Task

__all__ = ["TASK"]

TASK = Task(
    name="session_intent",
    asks="Did this session end with a purchase?",
    label="the table's own label; its features are counted over the whole session, so it is no forecast",
    entities=("session",),
    rule=TableRule(
        label="Revenue", month="Month", words=("OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType")
    ),
    service="session_table",
    takes=(),
    core_features=("PageValues", "ExitRates", "ProductRelated", "BounceRates"),
)
