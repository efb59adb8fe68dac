"""Fit on the training period what turns features into numbers: fills, scales, vocabularies."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import SplitError
from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import NumericColumn, OneHotColumn, SequenceEncoding, TabularEncoding
from feature_repo.transforms.feature_sets import steps_kept
from training.dataset.examples import Examples
from training.models.contract import Impute
from training.models.readable_features import require_readable

__all__ = ["fit_filled_table", "fit_raw_table", "fit_scaled_table", "fit_sequence", "rows_to_fit", "telling_apart"]

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


def fit_filled_table(features: CustomerFeatures, numeric: Sequence[str], impute: Impute = "median") -> TabularEncoding:
    """Return the features `numeric` as they are, missing ones filled by their median or mean: for models with units."""
    fills = [_fit_number(name, features.numeric[name], impute).fill for name in numeric]
    return TabularEncoding(tuple(NumericColumn(name, fill) for name, fill in zip(numeric, fills, strict=True)))


def fit_scaled_table(
    features: CustomerFeatures,
    numeric: Iterable[str],
    categorical: Iterable[str] = (),
    impute: Impute = "median",
    *,
    codes: bool = False,
) -> TabularEncoding:
    """Return the features `numeric`, filled as `impute` says and scaled to mean 0 and deviation 1, and `categorical`.

    Skewed ones are taken by their logarithm. A feature that the training period does not know becomes a constant.
    With `codes`, those of the item that is asked about come last, where there is one.
    """
    names = list(numeric)
    columns = tuple(_fit_number(name, features.numeric[name], impute) for name in names)
    missing = (
        tuple(name for name in names if _sometimes_missing(features.numeric[name])) if impute == "indicator" else ()
    )
    return TabularEncoding(
        columns, _fit_words(features, categorical), missing, tuple(features.candidate) if codes else ()
    )


def telling_apart(examples: Examples, numeric: Iterable[str]) -> list[str]:
    """Return which of the features `numeric` differ between the anchors of some date, in the order given.

    What all anchors of a date have in common, such as the weekday, is part of the date's level, which is fitted apart
    (`training/date_levels.py`): a model with a weight for it as well would answer at random on the next date.
    """
    _, codes = np.unique(examples.anchor_us, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    first = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return [name for name in numeric if _differs(examples.features.numeric[name][order], first)]


def _differs(values: NDArray[np.float64], first: NDArray[np.int64]) -> bool:
    """Whether some group of `values`, which begin at `first`, holds two numbers, or a number and a missing one."""
    if not len(values):
        return True
    missing = np.isnan(values)
    low = np.minimum.reduceat(np.where(missing, np.inf, values), first)
    high = np.maximum.reduceat(np.where(missing, -np.inf, values), first)
    some, every = np.logical_or.reduceat(missing, first), np.logical_and.reduceat(missing, first)
    return bool(((high > low) | (some & ~every)).any())


def rows_to_fit(examples: Examples, numeric: Iterable[str], impute: Impute, sequences: Iterable[str] = ()) -> Examples:
    """Return the examples that a model of the features `numeric` is fitted on: all of them, unless rows are deleted.

    A feature that no row knows deletes nothing. Rows are never deleted from what is predicted: there, the mean of the
    complete rows stands for what is missing. The channels `sequences` are read as well: in them nothing is deleted.

    Raises:
        FeatureError: a feature is infinite, or `impute` is "refuse" and one has missing values; it is named.
        SplitError: no row is complete.
    """
    names = list(numeric)
    require_readable(examples, names, impute, sequences)
    if impute != "delete":
        return examples
    parts = [np.array([np.isnan(part.features.numeric[name]) for name in names]) for part in examples.parts()]
    values = dict(zip(names, np.concatenate(parts, axis=1), strict=True))
    counts = {name: int(missing.sum()) for name, missing in values.items() if missing.any()}
    incomplete = np.zeros(len(examples), np.bool_)
    for name, count in counts.items():
        if count < len(examples):
            incomplete |= values[name]
    if incomplete.all():
        worst = max(counts, key=lambda name: counts[name] % len(examples))
        raise SplitError(
            f"No row of {len(examples):,} is complete: {worst!r} is missing in {counts[worst]:,} of them; expected "
            "some. Choose another impute in [features] than delete."
        )
    return examples.take(~incomplete)


def _sometimes_missing(values: NDArray[np.float64]) -> bool:
    missing = np.isnan(values)
    return bool(missing.any() and not missing.all())


def fit_sequence(
    features: CustomerFeatures, channels: Iterable[str], max_length: int, *, codes: bool = False
) -> SequenceEncoding:
    """Return the sequence's `channels`, each filled and scaled as `fit_scaled_table` does, over all steps.

    One that no step of the training period knows, such as prices where the shop tells none, is left out, unless there
    is no step at all. Lists longer than their view keeps are refused from then on. With `codes`, those of the features
    follow the channels, to be embedded.
    """
    steps = {name: features.sequences[name].values for name in channels}
    known = [name for name, values in steps.items() if not len(values) or not np.isnan(values).all()]
    columns = tuple(_fit_number(name, steps[name]) for name in known)
    kept = steps_kept(column.name for column in columns)
    return SequenceEncoding(columns, max_length, tuple(features.codes) if codes else (), kept)


def _fit_number(name: str, values: NDArray[np.float64], impute: Impute = "median") -> NumericColumn:
    known = values[~np.isnan(values)]
    if not len(known):
        return NumericColumn(name, fill=0.0)
    median = float(np.median(known))
    fill = float(known.mean()) if impute in ("mean", "delete") else median
    log = bool(known.min() >= 0 and known.max() > SKEWED_ABOVE * max(median, 1e-9))
    encoded = NumericColumn(name, fill, log).apply(values)
    deviation = float(encoded.std())
    scale = deviation if deviation > 1e-9 else 1.0
    return NumericColumn(name, fill, log, float(encoded.mean()), scale, float(known.min()), float(known.max()))


def _fit_words(features: CustomerFeatures, names: Iterable[str]) -> tuple[OneHotColumn, ...]:
    columns = []
    for name in names:
        counts = Counter(word for word in features.categorical[name].tolist() if word is not None)
        frequent = [word for word, count in counts.most_common(WORDS_AT_MOST) if count >= RARE_BELOW]
        if frequent:
            columns.append(OneHotColumn(name, tuple(sorted(frequent))))
    return tuple(columns)
