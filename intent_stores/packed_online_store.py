"""Feast's whole contract of an online store, over any store of packed values."""

import asyncio
import logging
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from feast import utils
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.supported_async_methods import SupportedAsyncMethods
from feast.repo_config import RepoConfig

from intent_stores.packed_arrow import key_values, table_columns, table_times
from intent_stores.packed_codec import encode_rows
from intent_stores.packed_feast import FeastRow, feast_keys, feast_rows, pack_feast_rows, packed_view
from intent_stores.packed_keys import entity_keys
from intent_stores.packed_merge import SequenceRule, merge_lists
from intent_stores.packed_reader import Fetched, PackedReader, PackedStore, microseconds
from intent_stores.packed_view import PackedView, unanswered, view_columns

FeastRows = list[tuple[datetime | None, dict[str, Any] | None]]

_log = logging.getLogger(__name__)
_ROWS_AT_ONCE = 20_000
_QUIET_SECONDS = 10.0


@dataclass(frozen=True)
class WrittenRows:
    """What became of a table: rows that were given to the store, and rows without an event time, left out."""

    written: int
    without_time: int


class PackedOnlineStore(OnlineStore):
    """An online store whose rows are packed values; what it is kept in is chosen by a subclass.

    Differences from Feast's own stores: a row older than its view's time to live is not returned, an older event
    never overwrites a newer one, and a row is written as a whole (a feature that is left out becomes null). Lists of a
    view over a source tagged `sequence.length` are not overwritten but merged, event by event (`packed_merge`), whoever
    writes them: a push of one event adds it, and what is materialised joins what was pushed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stores: dict[str, PackedStore] = {}
        self._guard = threading.Lock()
        self._quiet_until = 0.0

    @abstractmethod
    def _make_store(self, config: RepoConfig) -> PackedStore:
        """Return a store for this configuration's project; nothing is opened yet."""

    @property
    def async_supported(self) -> SupportedAsyncMethods:
        """Both ways: in threads, where a read is bounded by its budget."""
        return SupportedAsyncMethods(read=True, write=True)

    def reader(self, config: RepoConfig) -> PackedReader:
        """Return a columnar reader of this store; see `PackedReader.read_columns`."""
        return PackedReader(self._store(config))

    def packed_store(self, config: RepoConfig) -> PackedStore:
        """Return the store of packed values itself, for whoever writes what no feature view describes."""
        return self._store(config)

    def view(self, config: RepoConfig, table: Any) -> PackedView:
        """Return what `PackedReader.read_columns` must know of a Feast view."""
        return packed_view(table, config)

    def write_arrow(
        self,
        config: RepoConfig,
        table: Any,
        rows: pa.Table,
        progress: Callable[[int], Any] | None = None,
        sequence: str | int = 0,
        whole_lists: bool = False,
    ) -> WrittenRows:
        """Store a view's rows, the fast way: no value is touched by Python.

        Arguments:
            table: the feature view.
            rows: join keys, features, and the times under the names of the view's source; in any order, several rows
                of one key included. Timestamps without a zone are UTC.
            sequence: what orders rows of equal times: a number for all rows, or the name of a whole-number column.
            whole_lists: the lists of a sequence are all that was known of it, in order: where none are there, they are
                stored as they are; where the source does not tell the events' times, so that lists cannot be merged in
                order, they overwrite those that are there unless these are newer.

        Raises:
            ConfigurationError: the source's tags of a sequence do not fit the view.
            FeatureValueError, OnlineKeyError: a column is missing or cannot be held. Nothing of its chunk was stored.
            OnlineStoreUnavailableError: the store cannot be written.
        """
        view, source = packed_view(table, config), table.batch_source
        created = source.created_timestamp_column or None
        declared = {column.name: str(column.dtype) for column in table.entity_columns}
        join_keys = {name: declared.get(name) for name in view.join_keys}
        rule = _rule(view, table)
        if whole_lists and rule is not None and rule.event_time is None:
            rule = None
        store, written = self._store(config), 0
        for start in range(0, rows.num_rows, _ROWS_AT_ONCE):
            part = rows.slice(start, _ROWS_AT_ONCE)
            times, usable = table_times(part, source.timestamp_field, created, sequence)
            if not usable.all():
                part = part.filter(pa.array(usable))
                times, _ = table_times(part, source.timestamp_field, created, sequence)
            columns, valid = table_columns(view.schema, part)
            keys = entity_keys(view.join_keys, key_values(part, join_keys))
            keys = keys if view.join_keys else keys * part.num_rows
            _write(store, view, rule, keys, encode_rows(view.schema, columns, times, valid), whole_lists)
            written += int(np.count_nonzero(usable))
            if progress:
                progress(len(usable))
        return WrittenRows(written, rows.num_rows - written)

    def online_write_batch(
        self, config: RepoConfig, table: Any, data: list[FeastRow], progress: Callable[[int], Any] | None
    ) -> None:
        """Store Feast's rows; see `OnlineStore.online_write_batch`.

        Raises:
            ConfigurationError: the source's tags of a sequence do not fit the view.
            FeatureValueError, OnlineKeyError: a value or key cannot be held; nothing was stored.
            OnlineStoreUnavailableError: the store cannot be written.
        """
        view, store = packed_view(table, config), self._store(config)
        rule = _rule(view, table)
        for start in range(0, len(data), _ROWS_AT_ONCE):
            part = data[start : start + _ROWS_AT_ONCE]
            keys, values = pack_feast_rows(view, part)
            _write(store, view, rule, keys, values)
            if progress:
                progress(len(part))

    async def online_write_batch_async(
        self, config: RepoConfig, table: Any, data: list[FeastRow], progress: Callable[[int], Any] | None
    ) -> None:
        """Do as `online_write_batch`, in a thread."""
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)

    def online_read(
        self, config: RepoConfig, table: Any, entity_keys: list[Any], requested_features: list[str] | None = None
    ) -> FeastRows:
        """Return (event time, feature → value) for each key, (None, None) where a row is missing or stale now."""
        return self._read(config, [(table, entity_keys, requested_features)])[0]

    async def online_read_async(
        self, config: RepoConfig, table: Any, entity_keys: list[Any], requested_features: list[str] | None = None
    ) -> FeastRows:
        """Do as `online_read`, in a thread."""
        return await asyncio.to_thread(self.online_read, config, table, entity_keys, requested_features)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[Any],
        tables_to_keep: Sequence[Any],
        entities_to_delete: Sequence[Any],
        entities_to_keep: Sequence[Any],
        partial: bool,
    ) -> None:
        """Remove the rows of deleted views. A view that is kept keeps them; a changed schema makes them missing."""
        store = self._store(config)
        for table in tables_to_delete:
            store.drop(packed_view(table, config).name)

    def teardown(self, config: RepoConfig, tables: Sequence[Any], entities: Sequence[Any]) -> None:
        """Remove the rows of all views of this project, and close the store."""
        store = self._store(config)
        for table in tables:
            store.drop(packed_view(table, config).name)
        store.close()

    async def close(self) -> None:
        """Close what is open."""
        for store in self._stores.values():
            store.close()

    def _is_versioned_read_supported(self) -> bool:
        return True

    def _store(self, config: RepoConfig) -> PackedStore:
        identity = f"{config.project} {config.repo_path} {config.online_store!r}"
        with self._guard:
            if identity not in self._stores:
                self._stores[identity] = self._make_store(config)
            return self._stores[identity]

    def _read(self, config: RepoConfig, asked: Sequence[tuple[Any, list[Any], list[str] | None]]) -> list[FeastRows]:
        views = [packed_view(table, config) for table, _, _ in asked]
        wanted = [(view.name, feast_keys(keys)) for view, (_, keys, _) in zip(views, asked, strict=True)]
        fetched = self._store(config).fetch(wanted)
        self._warn(fetched)
        now, answers = microseconds(None), []
        for view, values, (_, _, features) in zip(views, fetched.values, asked, strict=True):
            why = fetched.trouble
            found = view_columns(view, values, now) if why is None else unanswered(view, len(values), why)
            names = view.fields if features is None else [name for name in features if name in view.fields]
            answers.append(feast_rows(found, {name: view.fields[name] for name in names}))
        return answers

    def _warn(self, fetched: Fetched) -> None:
        if fetched.trouble is not None and time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + _QUIET_SECONDS
            _log.warning("The online store gave no answer (%s); every feature counts as missing.", fetched.trouble)

    def _read_features_per_fv(
        self,
        config: RepoConfig,
        grouped_refs: list[Any],
        join_key_values: dict[str, Any],
        entity_name_to_join_key_map: dict[str, str],
        online_features_response: Any,
        full_feature_names: bool,
        include_feature_view_version_metadata: bool,
    ) -> None:
        """Fill Feast's response with all views, in one round trip. Feast's own way is one for each view."""
        asked, places = [], []
        for table, features in grouped_refs:
            entities, indexes, count = utils._get_unique_entities(table, join_key_values, entity_name_to_join_key_map)
            asked.append((table, utils._get_entity_key_protos(entities), features))
            places.append((indexes, count))
        answers = self._read(config, asked)
        for (table, features), rows, (indexes, count) in zip(grouped_refs, answers, places, strict=True):
            utils._populate_response_from_feature_data(
                features, rows, indexes, online_features_response, full_feature_names, table, count,
                include_feature_view_version_metadata,
            )  # fmt: skip

    async def _read_features_per_fv_async(self, *arguments: Any) -> None:
        await asyncio.to_thread(self._read_features_per_fv, *arguments)


def _rule(view: PackedView, table: Any) -> SequenceRule | None:
    tags = getattr(getattr(table, "batch_source", None), "tags", None) or {}
    return SequenceRule.of(view.name, view.fields, tags)


def _write(
    store: PackedStore,
    view: PackedView,
    rule: SequenceRule | None,
    keys: list[bytes],
    values: list[bytes],
    whole_lists: bool = False,
) -> None:
    if rule is None:
        store.write(view.name, keys, values)
        return
    places: dict[bytes, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    groups = list(places.values())

    def merged(chosen: Sequence[int], held: Sequence[bytes | None]) -> list[bytes | None]:
        arriving = [[values[place] for place in groups[number]] for number in chosen]
        # Nothing to merge: no list is there, or this very one.
        fresh = [
            rows[0] if whole_lists and len(rows) == 1 and there in (None, rows[0]) else None
            for rows, there in zip(arriving, held, strict=True)
        ]
        left = [number for number, row in enumerate(fresh) if row is None]
        owner = [place for place, number in enumerate(left) for _ in arriving[number]]
        flat = [row for number in left for row in arriving[number]]
        both = merge_lists(view.schema, rule, [held[number] for number in left], flat, owner) if left else []
        for number, row in zip(left, both, strict=True):
            fresh[number] = row
        return fresh

    store.change(view.name, list(places), merged)
