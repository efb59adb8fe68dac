"""What a member is fitted on: anchors with their features as known at the time, and labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_repo.transforms.columns import columns_of
from feature_repo.transforms.customer import CustomerFeatures, customer_features

__all__ = ["Examples"]


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

    @classmethod
    def from_table(cls, table: pa.Table) -> "Examples":
        """Compute the features of a point-in-time table: `user_id`, `event_timestamp` (t), the views' columns."""
        columns = columns_of(table)
        user_id, anchor = columns.pop("user_id"), columns.pop("event_timestamp")
        label = columns.pop("label", np.full(len(user_id), -1)).astype(np.int8)
        return cls(user_id, anchor, label, customer_features(columns, anchor))
