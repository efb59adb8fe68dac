"""A customer's last events as the steps of a sequence, for networks: numbers to scale, and codes to embed."""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_repo.transforms.event_lists import EventLists, kind_code
from feature_repo.transforms.ragged import Ragged
from feature_repo.transforms.session import SECOND_US
from feature_repo.transforms.words import few_words

__all__ = ["CODE_BUCKETS", "EVENT_CHANNELS", "candidate_codes", "event_codes", "event_sequence"]

EVENT_CHANNELS = (
    "event_gap_seconds",
    "event_seconds_before",
    "event_is_view",
    "event_is_favourite",
    "event_is_add_to_cart",
    "event_is_purchase",
    "event_revenue",
    "event_price",
)
CODE_BUCKETS = {"event_type": 16, "event_item": 4096, "event_category": 1024}
"""How many numbers each code may take; 0 is unknown, the rest are hashes of the word."""


def event_sequence(lists: EventLists, at_us: NDArray[np.int64]) -> dict[str, Ragged]:
    """Return `EVENT_CHANNELS`: lists of float64, oldest event first, all with the same offsets.

    Args:
        lists: of `event_at`, `event_type`, `event_revenue` (what was paid) and `event_price` (what one piece of the
            item was offered for then, whatever the event is), holding nothing after t; NaN where the shop is silent.
        at_us: t for each row, int64 microseconds since 1970, shape (n,).
    """
    at, lengths = lists["event_at"], lists.lengths
    gap = np.diff(at, prepend=at[:1]) / SECOND_US
    gap[lists.offsets[:-1][lengths > 0]] = 0.0
    channels = {
        "event_gap_seconds": gap,
        "event_seconds_before": (np.repeat(at_us, lengths) - at) / SECOND_US,
        "event_revenue": lists["event_revenue"],
        "event_price": lists["event_price"],
    }
    for kind in ("view", "favourite", "add_to_cart", "purchase"):
        channels[f"event_is_{kind}"] = (lists["event_type"] == kind_code(kind)).astype(np.float64)
    return {name: Ragged(channels[name], lists.offsets) for name in EVENT_CHANNELS}


def event_codes(columns: Mapping[str, Any], lists: EventLists, keep: NDArray[np.bool_]) -> dict[str, Ragged]:
    """Return the fields of `CODE_BUCKETS` as lists of int64 codes.

    Args:
        columns: the fields as lists of text, before anything was cut.
        lists: the same lists up to t.
        keep: which of the values of `columns` are in `lists`.
    """
    return {
        field: Ragged(_hashed(columns[field].values, buckets)[keep], lists.offsets)
        for field, buckets in CODE_BUCKETS.items()
    }


def candidate_codes(item: NDArray[np.object_], category: NDArray[np.object_]) -> dict[str, NDArray[np.int64]]:
    """Return the codes of the items that are asked about, int64 of shape (n,): the same word has the code of the lists.

    Args:
        item: their ids, object of text, None where it is not known.
        category: their categories.
    """
    fields = {"event_item": item, "event_category": category}
    return {name: _hashed(words, CODE_BUCKETS[name]) for name, words in fields.items()}


def _hashed(words: Any, buckets: int) -> NDArray[np.int64]:
    """Hash each word once; the same word has the same code in every batch and on every machine."""
    few = few_words(words)
    if few is not None:
        return np.array([_code(word, buckets) if word else 0 for word in few], np.int64)
    encoded = pa.array(words, pa.string(), from_pandas=True).dictionary_encode()
    codes = np.array([_code(word, buckets) for word in encoded.dictionary.to_pylist()] + [0], np.int64)
    return codes[encoded.indices.fill_null(len(codes) - 1).to_numpy(zero_copy_only=False)]


@lru_cache(maxsize=65_536)
def _code(word: str, buckets: int) -> int:
    if not word:
        return 0
    return 1 + int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big") % (buckets - 1)
