"""What one feature view asks of a join, in plain values: keys, columns, times, TTL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from feast.feature_view import DUMMY_ENTITY_ID

from intent_stores.declared_types import require_declared_kind
from intent_stores.errors import SourceError
from intent_stores.parquet_source import ParquetSource
from intent_stores.sql_text import identifier, listing

# An unknown creation time sorts before every known one; as a filter it never holds.
LONG_AGO = "(-9223372036854775807)::BIGINT"
# 127,000 years of microseconds: beyond any timestamp, and still far from the end of 64 bits.
FOREVER = 4 * 10**18


@dataclass(frozen=True)
class JoinKey:
    """One column on which rows meet: its name in the source and among the entity rows."""

    source_column: str
    entity_column: str


@dataclass(frozen=True)
class FeatureColumn:
    """One feature: its column in the source and its name in the result."""

    source_column: str
    output: str


@dataclass(frozen=True)
class ViewPlan:
    """One view's part of a point-in-time join.

    Attributes:
        name: the view's name, for messages.
        source: its opened source.
        keys: how its rows meet the entity rows; none for a view without entities.
        features: what is wanted, in the order of the result.
        timestamp_column: source column of the event time.
        created_column: source column of the moment from which a row was known; None where there is none.
        ttl_us: how far back a row counts, in microseconds, inclusive; None is forever.
        known_only: whether a row counts only from its creation time on.
    """

    name: str
    source: ParquetSource
    keys: tuple[JoinKey, ...]
    features: tuple[FeatureColumn, ...]
    timestamp_column: str
    created_column: str | None = None
    ttl_us: int | None = None
    known_only: bool = True

    @property
    def filters_created(self) -> bool:
        """Whether creation times decide if a row counts (else they only order ties)."""
        return self.known_only and self.created_column is not None

    @property
    def event_micros(self) -> str:
        """SQL of the event time in microseconds."""
        return self.source.micros(self.timestamp_column, "timestamp_field")

    @property
    def created_micros(self) -> str:
        """SQL of the creation time in microseconds; an unknown one is long ago."""
        if self.created_column is None:
            return LONG_AGO
        return f"coalesce({self.source.micros(self.created_column, 'created_timestamp_column')}, {LONG_AGO})"

    @property
    def key_names(self) -> list[str]:
        """Names of the key columns inside a join: k0, k1, …"""
        return [f"k{i}" for i in range(len(self.keys))]

    def check_columns(self) -> None:
        """Meet every column that the join will use, before any row is read.

        Raises:
            SourceColumnMissingError: one is not there.
            SourceColumnTypeError: a time is not a timestamp.
        """
        for key in self.keys:
            self.source.require(key.source_column, "a join key")
        for feature in self.features:
            self.source.require(feature.source_column, f"a feature of view {self.name!r}")
        _ = (self.event_micros, self.created_micros)

    def narrow_rows(self, row_number: str) -> str:
        """Return SQL of the source's usable rows without their features: k…, e, c, rid.

        Rows without a key, an event time or (where it decides) a creation time can never count.
        """
        keys = listing(f"{identifier(k.source_column)} AS k{i}" for i, k in enumerate(self.keys))
        present = [f"k{i} IS NOT NULL" for i in range(len(self.keys))] + ["e IS NOT NULL"]
        if self.filters_created:
            present.append(f"c > {LONG_AGO}")
        head = f"{keys}, " if keys else ""
        return (
            f"SELECT * FROM (SELECT {head}{self.event_micros} AS e, {self.created_micros} AS c, "
            f"{row_number} AS rid FROM {self.source.relation}) WHERE {' AND '.join(present)}"
        )


def plan_view(
    view: Any,
    source: ParquetSource,
    feature_refs: Sequence[str],
    full_feature_names: bool,
    known_only: bool,
) -> ViewPlan:
    """Read a Feast feature view into a plan.

    Arguments:
        view: a feature view as `FeatureStore.get_historical_features` hands it over (with its projection).
        source: its opened batch source.
        feature_refs: all "view:feature" references of the request, in the order of the result.
        full_feature_names: name results "view__feature".
        known_only: whether creation times filter.

    Raises:
        SourceColumnMissingError, SourceColumnTypeError: see `ViewPlan.check_columns`; or a column's values are of
            another kind than the view declares.
    """
    to_source = {new: old for old, new in (view.batch_source.field_mapping or {}).items()}
    prefix = f"{view.projection.name_to_use()}:"
    base = view.projection.name_alias or view.name
    wanted = dict.fromkeys(ref.split(":", 1)[1] for ref in feature_refs if ref.startswith(prefix))
    created = view.batch_source.created_timestamp_column or None
    plan = ViewPlan(
        name=view.name,
        source=source,
        keys=_join_keys(view, to_source),
        features=tuple(
            FeatureColumn(to_source.get(name, name), f"{base}__{name}" if full_feature_names else name)
            for name in wanted
        ),
        timestamp_column=_timestamp_column(view, to_source),
        created_column=to_source.get(created, created) if created else None,
        ttl_us=ttl_microseconds(view.ttl),
        known_only=known_only,
    )
    plan.check_columns()
    declared = {field.name: field.dtype for field in view.features}
    for name, feature in zip(wanted, plan.features, strict=True):
        if name in declared:
            require_declared_kind(source, feature.source_column, name, declared[name], view.name)
    return plan


def ttl_microseconds(ttl: timedelta | None) -> int | None:
    """Return a TTL in microseconds; zero and None both mean forever, as everywhere in Feast."""
    micros = ttl // timedelta(microseconds=1) if ttl else FOREVER
    return micros if micros < FOREVER else None


def _join_keys(view: Any, to_source: dict[str, str]) -> tuple[JoinKey, ...]:
    aliases = view.projection.join_key_map or {}
    names = [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]
    return tuple(JoinKey(to_source.get(name, name), aliases.get(name, name)) for name in names)


def _timestamp_column(view: Any, to_source: dict[str, str]) -> str:
    name = view.batch_source.timestamp_field
    if not name:
        raise SourceError(
            f"View {view.name!r}: its source {view.batch_source.name!r} names no timestamp_field; expected the column "
            "that says when each row happened. Set timestamp_field on the FileSource and apply again."
        )
    return to_source.get(name, name)
