"""Features → calibrated probability, with each member's own. No web, no store, no Feast, no BentoML, no TensorFlow."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import BundleError
from feature_repo.transforms.customer import CustomerFeatures
from services.explanation import Explanation, Method, explain
from services.runtimes import load_member
from training.ensemble.combine import Ensemble, combine
from training.packaging.bundle import Bundle
from training.packaging.feature_making import OF_CUSTOMERS, FeatureMaking

__all__ = ["Scorer", "Scores"]


@dataclass(frozen=True)
class Scores:
    """Of n customers the calibrated probability and each counting member's own, float64 of shape (n,), in [0, 1].

    `features` is what the members were given.
    """

    probability: NDArray[np.float64]
    members: dict[str, NDArray[np.float64]]
    features: CustomerFeatures


class Scorer:
    """A bundle ready to score; may be called from several threads."""

    services: Collection[str] = OF_CUSTOMERS
    """The feature services whose columns it can take."""

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        """Load the members, each run on `threads` threads (1 for a service: its requests are the parallelism).

        Raises:
            BundleError: a member or the ensemble cannot be loaded, or the features are of another kind.
        """
        self.making = FeatureMaking.told(bundle.manifest, self.services)
        self._features = self.making.function()
        try:
            self._ensemble = Ensemble.from_json(bundle.json("ensemble.json"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError("Bundle file 'ensemble.json' is malformed. Publish the bundle again.") from error
        self._seed = int(bundle.manifest.get("seed", 0))
        self._members = {name: load_member(*bundle.member(name), threads) for name in self._ensemble.used}
        self._takes_lists = any(member.takes_lists for member in self._members.values())
        self._takes_codes = any(member.takes_codes for member in self._members.values())
        named = zip(self._ensemble.members, self._ensemble.weights, strict=True)
        self._weights = {name: weight for name, weight in named if name in self._members}

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each member that counts; one of weight 0 is not run at all."""
        return self._weights

    @property
    def takes_lists(self) -> bool:
        """Whether a member that counts takes lists of baskets or events."""
        return self._takes_lists

    @property
    def takes_codes(self) -> bool:
        """Whether a member that counts looks up the item that is asked about in a table of its own."""
        return self._takes_codes

    def score(self, columns: Mapping[str, Any], at_us: NDArray[np.int64]) -> Scores:
        """Return the probabilities of n customers.

        Args:
            columns: field → array of shape (n,) or `Ragged`, holding only what is known at t; absent is not known.
            at_us: t of each, int64 microseconds since 1970, shape (n,).

        Raises:
            FeatureError: the columns do not fit each other or the model, or hold a purchase after t.
        """
        return self.judged(self.features(columns, at_us))

    def features(self, columns: Mapping[str, Any], at_us: NDArray[np.int64]) -> CustomerFeatures:
        """Return what the members are given."""
        return self._features(columns, at_us)

    def judged(self, features: CustomerFeatures) -> Scores:
        """Return the probabilities that the members and the ensemble give."""
        members = {name: member.predict(features) for name, member in self._members.items()}
        return Scores(np.asarray(combine(self._ensemble, members), np.float64), members, features)

    def explain(self, scores: Scores) -> tuple[Explanation, dict[str, Method]]:
        """Return why the one customer in `scores` got that probability, and how each member was taken apart."""
        parts = {name: member.explain(scores.features, self._seed) for name, member in self._members.items()}
        found = explain(self._ensemble, parts, float(scores.probability[0]))
        return found, {name: part.method for name, part in parts.items()}
