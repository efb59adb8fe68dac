"""The part of a bundle that answers about a customer and an item: features of pairs → calibrated probability.

The customer's features are computed once and crossed with all items (feature_repo/transforms/crossed_items.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import BundleError
from feature_repo.transforms.crossed_items import crossed_item_codes, crossed_item_features, paired
from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.feature_sets import OF_CUSTOMER
from services.scoring import Scorer, Scores
from training.packaging.bundle import Bundle

__all__ = ["ItemScorer", "ItemScores"]

_DAYS_SINCE = "item_days_since_event"


@dataclass(frozen=True)
class ItemScores:
    """Of one customer and m items the calibrated probability and each member's, float64 of shape (m,).

    `candidate` (bool, shape (m,)) says of which items the model was taught: those that the customer had to do with
    lately. `base` is the customer's features, `pairs` those of each pair; `codes` are the items', where a model embeds
    them.
    """

    probability: NDArray[np.float64]
    members: dict[str, NDArray[np.float64]]
    candidate: NDArray[np.bool_]
    base: CustomerFeatures
    pairs: dict[str, NDArray[np.float64]]
    codes: dict[str, NDArray[np.int64]]

    def of(self, row: int) -> Scores:
        """Return the scores of one of the items, with its features."""
        rows = slice(row, row + 1)
        members = {name: values[rows] for name, values in self.members.items()}
        return Scores(self.probability[rows], members, paired(self.base, self.pairs, self.codes, row))


class ItemScorer(Scorer):
    """The item part of a bundle, ready to score; may be called from several threads."""

    services = tuple(OF_CUSTOMER)

    def __init__(self, part: Bundle, threads: int = 1) -> None:
        """Load the members.

        Raises:
            BundleError: a member or the ensemble cannot be loaded, or the part is of another kind of features.
        """
        super().__init__(part, threads)
        self._of_customer, self._calendar = OF_CUSTOMER[self.making.service], self.making.calendar
        try:
            self._lookback_days = float(part.manifest["features"]["lookback_days"])
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(
                "The bundle's model of items does not say for how many days an item is a candidate; expected a number. "
                "Publish the bundle again."
            ) from error

    def cross(self, customer: Mapping[str, Any], items: Mapping[str, Any], at_us: int) -> ItemScores:
        """Return the scores of one customer and m items.

        Args:
            customer: field → one row, of the customers' views.
            items: `item_id`, and field → m rows, of the items' views.
            at_us: t, int64 microseconds since 1970.

        Raises:
            FeatureError: the columns do not fit each other or the model.
        """
        base, pairs = crossed_item_features(customer, items, at_us, self._calendar, self.takes_lists, self._of_customer)
        codes = crossed_item_codes(items) if self.takes_codes else {}
        scores = self.judged(_spread(base, pairs, codes, len(items["item_id"])))
        candidate = pairs[_DAYS_SINCE] <= self._lookback_days  # NaN, of an item never met, is not
        return ItemScores(scores.probability, scores.members, candidate, base, pairs, codes)


def _spread(
    base: CustomerFeatures,
    pairs: Mapping[str, NDArray[np.float64]],
    codes: dict[str, NDArray[np.int64]],
    count: int,
) -> CustomerFeatures:
    """Repeat the customer's lists for each item; numbers and words hold for all items as they are."""
    rows = np.zeros(count, np.int64)
    return CustomerFeatures(
        base.numeric | dict(pairs),
        base.categorical,
        {name: values.take(rows) for name, values in base.sequences.items()},
        count,
        {name: values.take(rows) for name, values in base.codes.items()},
        codes,
    )
