"""Golden vectors: a few stored inputs with the probabilities that training computed for them.

A runtime that does not reproduce them does not serve (services/golden_check.py): that is how a wrong library version,
a broken export or an encoding that moved is found before the first customer is scored.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.ragged import Ragged

__all__ = ["golden_vectors"]


def golden_vectors(
    columns: Mapping[str, Any],
    at_us: NDArray[np.int64],
    probability: NDArray[np.float64],
    members: Mapping[str, NDArray[np.float64]],
) -> dict[str, Any]:
    """Return n stored examples as JSON-able data, null where a value is not known.

    Args:
        columns: the views' columns, as `customer_features` takes them; arrays of shape (n,) or `Ragged`.
        at_us: t, int64 microseconds since 1970, shape (n,).
        probability: what the ensemble gave, shape (n,).
        members: what each member gave, shape (n,).
    """
    return {
        "columns": {name: _written(column) for name, column in columns.items()},
        "at_us": [int(t) for t in at_us],
        "probability": [float(p) for p in probability],
        "members": {name: [float(p) for p in values] for name, values in members.items()},
    }


def _written(column: Any) -> dict[str, Any]:
    values = column.values if isinstance(column, Ragged) else column
    kind = "text" if values.dtype == object else "int64" if values.dtype.kind == "i" else "float64"
    plain = [None if value is None or value != value else value for value in values.tolist()]  # NaN is not itself
    offsets = {"offsets": column.offsets.tolist()} if isinstance(column, Ragged) else {}
    return {"type": kind, "values": plain} | offsets
