"""A lookup and a scorer that note what they do: how long it took, what was fresh, how old it was, what came out."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.feature_lookup import FeatureLookup, Keys, ViewRows
from services.metrics import Metrics
from services.scoring import Scorer, Scores

__all__ = ["MeteredLookup", "MeteredScorer"]


class MeteredLookup:
    """A `FeatureLookup` that passes on to another one."""

    def __init__(self, lookup: FeatureLookup, metrics: Metrics) -> None:
        self._lookup, self._metrics = lookup, metrics

    def lookup(self, keys: Keys, at_us: int) -> Mapping[str, ViewRows]:
        """Return the rows of every view at `at_us`."""
        begun = time.perf_counter()
        found = self._lookup.lookup(keys, at_us)
        self._metrics.stage("lookup", time.perf_counter() - begun)
        self._metrics.views(found)
        return found

    def trouble(self) -> str | None:
        """Return why the store cannot be read just now, or None if it can."""
        return self._lookup.trouble()


class MeteredScorer(Scorer):
    """A scorer that shares everything with the one it is made of."""

    def __init__(self, scorer: Scorer, tag: str, metrics: Metrics) -> None:
        self.__dict__.update(scorer.__dict__)
        self._tag, self._metrics = tag, metrics

    def score(self, columns: Mapping[str, Any], at_us: NDArray[np.int64]) -> Scores:
        """Return the probabilities of n customers."""
        begun = time.perf_counter()
        scores = super().score(columns, at_us)
        self._metrics.stage("score", time.perf_counter() - begun)
        self._metrics.scores(self._tag, scores.probability.tolist())
        return scores
