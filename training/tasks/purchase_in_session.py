"""Will this customer buy later in the running session, as seen after its first, third, fifth, tenth event?"""

from training.dataset.anchor_sessions import PREFIX, SessionRule
from training.tasks.contract import Task

__all__ = ["TASK"]

TASK = Task(
    name="purchase_in_session",
    asks="Will this customer buy later in this session?",
    label="a purchase in (t, the session's last event], t being the session's k-th event",
    rule=SessionRule("purchase"),
    service="customer_events",
    takes=("prefixes",),
    core_features=("session_cart_share", "seconds_since_last_purchase", "event_count_7d", "session_seconds"),
    slices=((PREFIX, "events so far"),),
)
