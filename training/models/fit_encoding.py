"""Fit on the training period what turns features into numbers: fills, scales, vocabularies."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import NumericColumn, OneHotColumn, SequenceEncoding, TabularEncoding

__all__ = ["fit_filled_table", "fit_raw_table", "fit_scaled_table", "fit_sequence"]

# A word that fewer customers carry says little about them, and its column would be fitted to chance.
RARE_BELOW = 20
WORDS_AT_MOST = 50
# Amounts and durations are skewed: a column whose largest value is this many medians away is taken by its logarithm.
SKEWED_ABOVE = 5.0


def fit_raw_table(features: CustomerFeatures) -> TabularEncoding:
    """Return all numeric features as they are, missing ones left missing, and all categories: what trees like.

    A feature that the whole training period does not know is left out.
    """
    known = [name for name, values in features.numeric.items() if not np.isnan(values).all()]
    return TabularEncoding(tuple(NumericColumn(name) for name in known), _fit_words(features, features.categorical))


def fit_filled_table(features: CustomerFeatures, numeric: Sequence[str]) -> TabularEncoding:
    """Return the features `numeric` as they are, missing ones filled by their median: for models with units."""
    fills = [_fit_number(name, features.numeric[name]).fill for name in numeric]
    return TabularEncoding(tuple(NumericColumn(name, fill) for name, fill in zip(numeric, fills, strict=True)))


def fit_scaled_table(
    features: CustomerFeatures, numeric: Iterable[str], categorical: Iterable[str] = ()
) -> TabularEncoding:
    """Return the features `numeric`, filled by their median and scaled to mean 0 and deviation 1, and `categorical`.

    Skewed ones are taken by their logarithm. A feature that the training period does not know becomes a constant.
    """
    columns = tuple(_fit_number(name, features.numeric[name]) for name in numeric)
    return TabularEncoding(columns, _fit_words(features, categorical))


def fit_sequence(features: CustomerFeatures, channels: Iterable[str], max_length: int) -> SequenceEncoding:
    """Return the sequence's `channels`, each filled and scaled as `fit_scaled_table` does, over all steps."""
    columns = tuple(_fit_number(name, features.sequences[name].values) for name in channels)
    return SequenceEncoding(columns, max_length)


def _fit_number(name: str, values: NDArray[np.float64]) -> NumericColumn:
    known = values[~np.isnan(values)]
    if not len(known):
        return NumericColumn(name, fill=0.0)
    fill = float(np.median(known))
    log = bool(known.min() >= 0 and known.max() > SKEWED_ABOVE * max(fill, 1e-9))
    encoded = NumericColumn(name, fill, log).apply(values)
    deviation = float(encoded.std())
    return NumericColumn(name, fill, log, float(encoded.mean()), deviation if deviation > 1e-9 else 1.0)


def _fit_words(features: CustomerFeatures, names: Iterable[str]) -> tuple[OneHotColumn, ...]:
    columns = []
    for name in names:
        counts = Counter(word for word in features.categorical[name].tolist() if word is not None)
        frequent = [word for word, count in counts.most_common(WORDS_AT_MOST) if count >= RARE_BELOW]
        if frequent:
            columns.append(OneHotColumn(name, tuple(sorted(frequent))))
    return tuple(columns)
