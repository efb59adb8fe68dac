"""The port to the online store: what is known of some customers, how old it is, and whether it may be used.

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

__all__ = [
    "NEVER",
    "FeatureLookup",
    "InMemoryLookup",
    "ViewRows",
    "ViewSchema",
    "ViewStatus",
    "empty_column",
    "read_view_schemas",
    "usable_columns",
]

NEVER = np.iinfo(np.int64).min
"""`event_us` of a customer that a view holds no row for."""

USER_KEYS = ["user_id"]
Status = Literal["fresh", "stale", "missing"]


@dataclass(frozen=True)
class ViewSchema:
    """A view as the bundle knows it: its fields' types, and its time to live in seconds (0: for ever)."""

    name: str
    fields: Mapping[str, str]
    ttl_seconds: int


@dataclass(frozen=True)
class ViewRows:
    """A view's rows of n customers, in the order they were asked for.

    `columns` maps a field to float64 of shape (n,) with NaN, to object of shape (n,) with None, or to a `Ragged` of
    n lists; `event_us` is each row's event time, int64 microseconds since 1970, `NEVER` where there is no row.
    """

    columns: Mapping[str, Any]
    event_us: NDArray[np.int64]


@dataclass(frozen=True)
class ViewStatus:
    """For n customers, whether a view may be used (`fresh`, `stale`, `missing`), and its age in seconds or NaN."""

    status: NDArray[np.object_]
    age_seconds: NDArray[np.float64]


class FeatureLookup(Protocol):
    """What the service needs of an online store. Implementations may be called from several threads."""

    def lookup(self, user_ids: Sequence[str]) -> Mapping[str, ViewRows]:
        """Return the rows of every view, one per id; an unknown id has no row anywhere.

        Raises:
            DependencyDown: the store does not answer.
        """
        ...

    def trouble(self) -> str | None:
        """Return why the store cannot be read just now, or None if it can."""
        ...


class InMemoryLookup:
    """A lookup over a dictionary, for tests: view → user id → (event_us, field → value)."""

    def __init__(
        self, schemas: Sequence[ViewSchema], rows: Mapping[str, Mapping[str, tuple[int, Mapping[str, Any]]]]
    ) -> None:
        self._schemas = schemas
        self._rows = rows

    def lookup(self, user_ids: Sequence[str]) -> Mapping[str, ViewRows]:
        """Return the rows of every view, one per id."""
        found = {}
        for schema in self._schemas:
            rows = [self._rows.get(schema.name, {}).get(user_id, (NEVER, {})) for user_id in user_ids]
            columns = {f: column_of([row.get(f) for _, row in rows], kind) for f, kind in schema.fields.items()}
            found[schema.name] = ViewRows(columns, np.array([event for event, _ in rows], np.int64))
        return found

    def trouble(self) -> str | None:
        """Return None: a dictionary is always there."""
        return None


def read_view_schemas(features: Mapping[str, Any]) -> list[ViewSchema]:
    """Return the views of a bundle's features.json that are keyed by the customer alone.

    Raises:
        BundleError: there is no such view, or one has a field of a type that is not known.
    """
    schemas = []
    for name, view in features["views"].items():
        if view["join_keys"] != USER_KEYS:
            continue
        strange = sorted(set(view["fields"].values()) - _EMPTY.keys())
        if strange:
            raise BundleError(f"View {name!r} has fields of types {strange}; expected {sorted(_EMPTY)}. Publish again.")
        schemas.append(ViewSchema(name, dict(view["fields"]), int(view["ttl_seconds"])))
    if not schemas:
        raise BundleError("The bundle has no view of the customer: expected one keyed by user_id. Publish again.")
    return schemas


def usable_columns(
    schemas: Sequence[ViewSchema], found: Mapping[str, ViewRows], at_us: int
) -> tuple[dict[str, Any], dict[str, ViewStatus]]:
    """Return the columns a model may see at `at_us`, withheld values as missing, and each view's status."""
    columns: dict[str, Any] = {}
    statuses = {}
    for schema in schemas:
        rows = found[schema.name]
        fresh, statuses[schema.name] = _judge(schema, rows, at_us)
        for field in schema.fields:
            columns[field] = _withheld(rows.columns[field], ~fresh)
    return columns, statuses


def column_of(values: Sequence[Any], kind: str) -> Any:
    """Return one column of n customers from Python values (None: not known), as `customer_features` takes it."""
    dtype = _EMPTY[kind]
    if not kind.startswith("Array"):
        return np.array([_MISSING[kind] if v is None else v for v in values], dtype)
    lists = [() if v is None else v for v in values]
    offsets = np.concatenate([[0], np.cumsum([len(v) for v in lists])]).astype(np.int64)
    flat = [item for v in lists for item in v]
    return Ragged(np.array(flat, dtype) if flat else np.empty(0, dtype), offsets)


def empty_column(kind: str, n: int) -> Any:
    """Return a column of n customers of whom nothing is known."""
    return column_of([None] * n, kind)


# Whole numbers that are not in a list are float64 too, for a missing one must be NaN: 2**53 µs is the year 2255.
_EMPTY: dict[str, Any] = {
    "String": object,
    "Float64": np.float64,
    "Int64": np.float64,
    "Array(String)": object,
    "Array(Float64)": np.float64,
    "Array(Int64)": np.int64,
}
_MISSING: dict[str, Any] = {"String": None, "Float64": np.nan, "Int64": np.nan}


def _judge(schema: ViewSchema, rows: ViewRows, at_us: int) -> tuple[NDArray[np.bool_], ViewStatus]:
    present = (rows.event_us != NEVER) & (rows.event_us <= at_us)
    # Stores round a row's event time (Feast's SQLite to the second): the newest moment inside the row tells as well.
    for field, column in rows.columns.items():
        if field.endswith("_at"):
            newest = column.last() if isinstance(column, Ragged) else np.asarray(column, np.float64)
            present &= ~(newest > at_us)
    age = np.where(present, (at_us - np.where(present, rows.event_us, at_us)) / 1e6, np.nan)
    stale = present & (age > schema.ttl_seconds) if schema.ttl_seconds else np.zeros(len(age), np.bool_)
    status = np.where(stale, "stale", np.where(present, "fresh", "missing")).astype(object)
    return present & ~stale, ViewStatus(status, age)


def _withheld(column: Any, hide: NDArray[np.bool_]) -> Any:
    if not hide.any():
        return column
    if isinstance(column, Ragged):
        return column.where(~np.repeat(hide, column.lengths))
    kept = column.copy()
    kept[hide] = None if column.dtype == object else np.nan
    return kept
