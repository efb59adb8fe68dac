"""How the features of a bundle's models are made: by the columns of which feature service, on which calendar."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import BundleError
from feature_repo.transforms.calendar import Calendar
from feature_repo.transforms.customer import CustomerFeatures, customer_features

__all__ = ["OF_CUSTOMERS", "FeatureMaking"]

_PLAIN = "purchase_within_horizon"
OF_CUSTOMERS = (_PLAIN, "customer_events")
"""The services of questions about a customer alone: profile, history, baskets; the same with events of all kinds."""


@dataclass(frozen=True)
class FeatureMaking:
    """The name of a feature service, and the shop's calendar."""

    service: str = _PLAIN
    calendar: Calendar = Calendar()  # noqa: RUF009  it is frozen

    @classmethod
    def told(cls, manifest: Mapping[str, Any], expected: Collection[str]) -> "FeatureMaking":
        """Read the `features` of a manifest; one without any is of customers' profile, history and baskets.

        Raises:
            BundleError: they are malformed, or the service is none of `expected`.
        """
        try:
            found = cls._read(manifest["features"]) if "features" in manifest else cls()
            if found.service in expected:
                return found
        except (KeyError, TypeError, ValueError):
            pass
        raise BundleError(
            "The bundle does not say how the features of its models are made; expected those of one of the services "
            f"{sorted(expected)}, with the shop's calendar. Publish the bundle again with this release."
        )

    @classmethod
    def _read(cls, told: Any) -> "FeatureMaking":
        calendar = told["calendar"]
        return cls(
            str(told["service"]),
            Calendar(str(calendar["zone"]), tuple(map(str, calendar["holidays"])), bool(calendar["seasons"])),
        )

    @property
    def reads_events(self) -> bool:
        """Whether events of all kinds are read, so that what a customer does now counts at once."""
        return self.service != _PLAIN

    def function(self) -> Callable[[Mapping[str, Any], NDArray[np.int64]], CustomerFeatures]:
        """Return what makes features of columns at t."""
        if not self.reads_events:
            return customer_features
        from feature_repo.transforms.feature_sets import feature_function  # Arrow takes a while to import

        return feature_function(self.service, self.calendar)
