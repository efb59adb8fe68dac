"""A challenger in the champion's shadow where items are asked about: it scores the same pairs, and both are logged."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from services.feature_lookup import FeatureLookup
from services.metrics import Metrics
from services.served_lines import ServedBatch
from services.shadow import Shadow, ShadowLog

if TYPE_CHECKING:  # features of events need Arrow, which a service without a model of items need not load
    from services.item_scorer import ItemScorer

__all__ = ["ItemShadow"]


class ItemShadow(Shadow):
    """As `Shadow`, of one customer crossed with the items of a request."""

    def __init__(
        self,
        tag: str,
        scorer: "ItemScorer",
        lookup: FeatureLookup,
        views: Mapping[str, Sequence[str]],
        log: ShadowLog,
        metrics: Metrics,
    ) -> None:
        """Prepare; `views` are the challenger's, each with its join keys, and the rest is as `Shadow` takes it."""
        super().__init__(tag, scorer, lookup, list(views), log, metrics)
        self._items, self._label = scorer, f"{tag} items"
        self._of_items = {name for name, join_keys in views.items() if "item_id" in join_keys}

    def _probability(self, batch: ServedBatch) -> NDArray[np.float64]:
        columns = self._columns(batch)
        customer: dict[str, Any] = {}
        items: dict[str, Any] = {}
        for name in self._views:
            (items if name in self._of_items else customer).update(columns[name])
        items["item_id"] = np.array(batch.keys["item_id"], object)
        return self._items.cross(customer, items, batch.at_us).probability
