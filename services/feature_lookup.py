"""The port to the online store: what may be used of some customers and items at a moment, how old it is, and why not.

Time rule: ages are measured at the request's `at`, never at the wall clock, so that a replay of the past sees what
the past saw. A row newer than `at` counts as missing, a row older than the view's time to live is stale; the values
of both are withheld from the model, as the offline join does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import BundleError
from feature_repo.transforms.ragged import Ragged
from intent_stores.errors import ConfigurationError
from intent_stores.packed_view import PackedView

__all__ = ["NOT_KNOWN", "OF_ROWS", "FeatureLookup", "Keys", "Status", "ViewRows", "read_views", "views_of"]

Keys = Mapping[str, Sequence[str]]
"""Join key → ids. A view takes the keys it is keyed by; one id of a key stands beside any number of another's."""

Status = Literal["fresh", "stale", "missing"]

NOT_KNOWN = ("absent", "newer than at")
"""Reasons that say nothing was known at the moment; any other one is a fault, and a better answer exists."""


OF_ROWS = (*NOT_KNOWN, "expired", "other schema", "corrupt")
"""All reasons that are about a row; any other one is about the store, in its own words."""


@dataclass(frozen=True)
class ViewRows:
    """A view's n rows, in the order of the keys.

    Attributes:
        columns: field → float64 of shape (n,) with NaN, object of shape (n,) with None, or a `Ragged` of n lists, as
            the transforms take them; of a row that is not fresh nothing, or an empty list.
        status: object of shape (n,): `fresh`, `stale` or `missing`.
        reason: object of shape (n,): None if fresh, else `expired`, `absent`, `newer than at`, `other schema`,
            `corrupt` (it cannot be unpacked, or no score can be made of it), or why the store gave no answer.
        age_seconds: float64 of shape (n,), at the moment asked about; NaN where missing.
        all_fresh: True if every row is known to be fresh, without a look at `status`.
    """

    columns: Mapping[str, Any]
    status: NDArray[np.object_]
    reason: NDArray[np.object_]
    age_seconds: NDArray[np.float64]
    all_fresh: bool = False

    def take(self, rows: NDArray[np.int64]) -> "ViewRows":
        """Return the rows at these places, in that order."""
        columns = {
            name: column.take(rows) if isinstance(column, Ragged) else column[rows]
            for name, column in self.columns.items()
        }
        return ViewRows(columns, self.status[rows], self.reason[rows], self.age_seconds[rows])

    def without(self, hide: NDArray[np.bool_], reason: str) -> "ViewRows":
        """Return the same with nothing in the rows `hide` (shape (n,)), which are missing for that reason."""
        return ViewRows(
            {name: _without(column, hide) for name, column in self.columns.items()},
            np.where(hide, "missing", self.status),
            np.where(hide, reason, self.reason),
            np.where(hide, np.nan, self.age_seconds),
        )


class FeatureLookup(Protocol):
    """What the service needs of an online store. Implementations may be called from several threads."""

    def lookup(self, keys: Keys, at_us: int) -> Mapping[str, ViewRows]:
        """Return the rows of every view at `at_us` (microseconds since 1970).

        A store that is away, slow or broken gives missing rows with the reason, soon: it is no error.
        """
        ...

    def trouble(self) -> str | None:
        """Return why the store cannot be read just now, or None if it can."""
        ...


def read_views(features: Mapping[str, Any]) -> list[PackedView]:
    """Return all views of a bundle's features.json.

    Raises:
        BundleError: there is none, or one has a field of a type that no model takes.
    """
    views = []
    for name, view in features["views"].items():
        strange = sorted(set(view["fields"].values()) - set(_TYPES))
        if strange:
            raise BundleError(f"View {name!r} has fields of types {strange}; expected {_TYPES}. Publish again.")
        try:
            views.append(PackedView(name, view["fields"], tuple(view["join_keys"]), int(view["ttl_seconds"] * 10**6)))
        except (KeyError, TypeError, ConfigurationError) as error:
            raise BundleError(f"View {name!r} of the bundle is malformed. Publish the bundle again.") from error
    if not views:
        raise BundleError("The bundle has no view: expected one at least. Publish it again.")
    return views


def views_of(views: Sequence[PackedView], *join_keys: str) -> list[PackedView]:
    """Return the views that these keys suffice for.

    Raises:
        BundleError: there is none.
    """
    found = [view for view in views if view.join_keys and set(view.join_keys) <= set(join_keys)]
    if not found:
        raise BundleError(f"The bundle has no view keyed by {sorted(join_keys)}: expected one at least. Publish again.")
    return found


def _without(column: Any, hide: NDArray[np.bool_]) -> Any:
    if isinstance(column, Ragged):
        return column.where(~np.repeat(hide, column.lengths))
    return np.where(hide, None if column.dtype == object else np.nan, column)


_TYPES = ("Array(Float64)", "Array(Int64)", "Array(String)", "Float64", "Int64", "String")
