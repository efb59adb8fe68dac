"""What a member is fitted on: anchors with their features as known at the time, and labels."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_repo.errors import FeatureError
from feature_repo.transforms.columns import columns_of
from feature_repo.transforms.customer import CustomerFeatures, customer_features
from feature_repo.transforms.feature_sets import FeatureFunction

__all__ = ["Examples", "require_no_infinity"]

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Examples:
    """n anchors: `user_id` (object of text), `anchor_us` (int64 µs since 1970), `label` (int8), features at t.

    A table without labels (the test period before the evaluation opens it) gives labels of -1.
    """

    user_id: NDArray[np.object_]
    anchor_us: NDArray[np.int64]
    label: NDArray[np.int8]
    features: CustomerFeatures

    def __len__(self) -> int:
        return len(self.user_id)

    def take(self, index: NDArray[Any]) -> "Examples":
        """Return the anchors with the numbers `index` (or for which a mask is true), in order."""
        index = np.flatnonzero(index) if index.dtype == np.bool_ else index
        return Examples(self.user_id[index], self.anchor_us[index], self.label[index], self.features.take(index))

    @property
    def stored(self) -> bool:
        """Whether the features are read from disk, part by part, instead of being held in memory."""
        return False

    @property
    def sample(self) -> "Examples":
        """The anchors that scales and vocabularies are fitted on: all of them, where memory holds them."""
        return self

    def forget_sample(self) -> None:
        """Give back what `sample` holds beside the anchors themselves; asked for again, it is the same once more."""

    def parts(self) -> Iterator["Examples"]:
        """Yield the anchors in parts that memory holds, in order."""
        yield self

    def dated(self, date_us: NDArray[np.int64]) -> "Examples":
        """Return the same anchors under their dates: members give each date a level of demand of its own."""
        return replace(self, anchor_us=date_us)

    @classmethod
    def from_table(cls, table: pa.Table, features: FeatureFunction = customer_features) -> "Examples":
        """Compute the features of a point-in-time table: `user_id`, `event_timestamp` (t), the views' columns.

        Raises:
            FeatureError: a feature is infinite somewhere; the message names it.
        """
        columns = columns_of(table)
        user_id, anchor = columns.pop("user_id"), columns.pop("event_timestamp")
        label = columns.pop("label", np.full(len(user_id), -1)).astype(np.int8)
        computed = features(columns, anchor)
        require_no_infinity(computed)
        return cls(user_id, anchor, label, computed)


def _infinite(values: NDArray[Any]) -> int:
    """Count what is infinite in float32, in which members compute; least and greatest alone say that there is none."""
    if not len(values) or (values.min() >= -_LARGEST and values.max() <= _LARGEST):
        return 0
    return int(np.count_nonzero(np.abs(values) > _LARGEST))


def require_no_infinity(features: CustomerFeatures) -> None:
    """Refuse numbers without a size, or of one beyond float32, 3.4e38; what is not known is NaN, and not refused here.

    Raises:
        FeatureError: the message names the features, with the number of rows.
    """
    counts = {name: _infinite(values) for name, values in features.numeric.items()}
    counts |= {name: _infinite(lists.values) for name, lists in features.sequences.items()}
    found = {name: count for name, count in counts.items() if count}
    if found:
        named = ", ".join(f"{name} ({count:,} values)" for name, count in found.items())
        raise FeatureError(
            f"Features are infinite: got {named}; expected numbers up to 3.4e38, or NaN where nothing is known. "
            "Look for a division by zero in the view's table, or for an infinite amount in the log."
        )
