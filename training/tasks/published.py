"""Figures that others reached, under the protocol that a run repeats, to be printed beside its own.

A reference is about one data set and one protocol. A run follows it if it has the same task, data set and number of
test rows; else the figures do not compare, and are not shown as if they did. All of them were reached by plain scripts
under the same protocol, split in time unless the protocol says folds.
"""

from dataclasses import dataclass

__all__ = ["PUBLISHED", "Reference", "references_for"]


@dataclass(frozen=True)
class Reference:
    """What `model` reached on the test rows of a protocol; a figure that was not told is None.

    `test_rows` identifies the protocol, and `base_rate` is the share of positives in them.
    """

    task: str
    adapter: str
    protocol: str
    test_rows: int
    base_rate: float
    model: str
    roc_auc: float
    pr_auc: float | None = None
    log_loss: float | None = None


_RETAIL = ("purchase_within_horizon", "online_retail", "Online Retail, 14 days", 24_010, 0.1847)
_SESSION = ("purchase_in_session", "taobao_userbehavior", "Taobao, later in the session", 7_896, 0.0675)
_DAY = ("purchase_within_horizon", "taobao_userbehavior", "Taobao, 24 hours", 1_628, 0.1775)
_FOLDS = ("session_intent", "online_shoppers", "UCI Online Shoppers, 3 x 3 stratified folds", 12_330, 0.1547)

PUBLISHED = (
    Reference(*_RETAIL, "logistic regression on RFM", 0.726),
    Reference(*_RETAIL, "XGBoost", 0.739),
    Reference(*_SESSION, "logistic regression on all features", 0.675, 0.145, 0.2363),
    Reference(*_SESSION, "XGBoost", 0.647),
    Reference(*_DAY, "XGBoost", 0.603),
    Reference(*_FOLDS, "XGBoost", 0.9335, 0.752),
)


def references_for(task: str, adapter: str) -> list[Reference]:
    """Return the references about this task and data set, of whatever protocol."""
    return [reference for reference in PUBLISHED if (reference.task, reference.adapter) == (task, adapter)]
