"""What a model's answers rest on and how long their parts took, noted as figures."""

import time
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.customer import CustomerFeatures
from services.answer_parts import Note, Views
from services.feature_lookup import FeatureLookup, Keys, ViewRows
from services.metrics import Metrics
from services.scoring import Scorer, Scores

__all__ = ["MeteredLookup", "metered", "noted"]

S = TypeVar("S", bound=Scorer)


class MeteredLookup:
    """A `FeatureLookup` that passes on to another one, and notes how long it took."""

    def __init__(self, lookup: FeatureLookup, metrics: Metrics) -> None:
        self._lookup, self._metrics = lookup, metrics

    def lookup(self, keys: Keys, at_us: int) -> Mapping[str, ViewRows]:
        """Return the rows of every view at `at_us`."""
        begun = time.perf_counter()
        found = self._lookup.lookup(keys, at_us)
        self._metrics.stage("lookup", time.perf_counter() - begun)
        return found

    def trouble(self) -> str | None:
        """Return why the store cannot be read just now, or None if it can."""
        return self._lookup.trouble()


def noted(name: str, metrics: Metrics) -> Note:
    """Return what notes of answers which views were fresh, how old they were, and the probabilities, as `name`'s."""

    def note(views: Views, probability: NDArray[np.float64]) -> None:
        metrics.views(views)
        metrics.scores(name, probability)

    return note


def metered(scorer: S, metrics: Metrics) -> S:
    """Return a scorer of the same kind that shares everything with `scorer`, and notes how long its stages take."""
    kind: Any = type(f"Metered{type(scorer).__name__}", (_Metered, type(scorer)), {})
    made: S = object.__new__(kind)
    made.__dict__.update(scorer.__dict__, _metrics=metrics)
    return made


class _Metered(Scorer):
    _metrics: Metrics

    def features(self, columns: Mapping[str, Any], at_us: NDArray[np.int64]) -> CustomerFeatures:
        begun = time.perf_counter()
        made = super().features(columns, at_us)
        self._metrics.stage("features", time.perf_counter() - begun)
        return made

    def judged(self, features: CustomerFeatures) -> Scores:
        begun = time.perf_counter()
        scores = super().judged(features)
        self._metrics.stage("models", time.perf_counter() - begun)
        return scores
