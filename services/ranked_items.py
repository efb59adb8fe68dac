"""The items of a ranking as JSON: hundreds of objects that are written without being made."""

from collections.abc import Sequence
from json.encoder import encode_basestring
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json

__all__ = ["ranked_items_json"]

_FLAGS = [
    f',"known":{known},"candidate":{candidate}}}' for known in ("false", "true") for candidate in ("false", "true")
]


def ranked_items_json(
    item_ids: Sequence[str],
    probability: NDArray[np.float64],
    known: NDArray[np.bool_],
    candidate: NDArray[np.bool_],
    top: int | None = None,
) -> bytes:
    """Return the `top` first items (all if None) by falling probability, equal ones as they came: a list of objects.

    Args:
        item_ids: m ids, of printable text.
        probability: shape (m,), finite.
        known: shape (m,), as `RankedItem` has it.
        candidate: likewise.

    >>> ranked_items_json(["a", "b"], np.array([0.25, 0.5]), np.array([True, True]), np.array([False, True]), top=1)
    b'[{"item_id":"b","probability":0.5,"known":true,"candidate":true}]'
    """
    order = np.argsort(-probability, kind="stable")[:top]
    texts: Any = to_json(probability[order].tolist()).decode()[1:-1].split(",")
    flags = (2 * known + candidate)[order].tolist()
    items = [
        f'{{"item_id":{encode_basestring(item_ids[row])},"probability":{text}{_FLAGS[flag]}'
        for row, text, flag in zip(order.tolist(), texts, flags, strict=True)
    ]
    return f"[{','.join(items)}]".encode()
