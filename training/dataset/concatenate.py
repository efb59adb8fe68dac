"""Put examples of two periods end to end, for a fit on both."""

import numpy as np

from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.ragged import Ragged
from training.dataset.examples import Examples

__all__ = ["concatenate"]


def concatenate(earlier: Examples, later: Examples) -> Examples:
    """Return the anchors of `earlier`, then those of `later`; both hold the same features."""
    first, second = earlier.features, later.features
    features = CustomerFeatures(
        {name: np.concatenate([values, second.numeric[name]]) for name, values in first.numeric.items()},
        {name: np.concatenate([words, second.categorical[name]]) for name, words in first.categorical.items()},
        {name: _join(lists, second.sequences[name]) for name, lists in first.sequences.items()},
        first.n + second.n,
        {name: _join(lists, second.codes[name]) for name, lists in first.codes.items()},
        {name: np.concatenate([codes, second.candidate[name]]) for name, codes in first.candidate.items()},
    )
    return Examples(
        np.concatenate([earlier.user_id, later.user_id]),
        np.concatenate([earlier.anchor_us, later.anchor_us]),
        np.concatenate([earlier.label, later.label]),
        features,
    )


def _join(first: Ragged, second: Ragged) -> Ragged:
    offsets = np.concatenate([first.offsets, second.offsets[1:] + first.offsets[-1]])
    return Ragged(np.concatenate([first.values, second.values]), offsets)
