"""Bring one view online as it was known at a moment: in chunks, resumable, and without harm if it is done twice.

A run reads the newest row of each key in a stable order, writes it chunk by chunk, and notes each chunk in the ledger
and, by a marker, in the store itself. A run that was killed goes on after the last chunk that both know of, provided
that the view, the source's files and the moments are the same; otherwise it begins anew. The watermark moves when
every chunk is in, so it never promises what is not there.

A view with a watermark is read from there, less a look-back: a row counts by when it became known, not by when it
happened, so late rows are brought online too.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from feast.infra.offline_stores.offline_store import OfflineStore
from feast.repo_config import RepoConfig

from intent_stores.errors import SourceChangedError
from intent_stores.materialization_ledger import Ledger, Run, ViewLedger, Watermark
from intent_stores.materialization_marker import Marker, read_marker, write_marker
from intent_stores.materialization_rows import NewestRows, newest_rows
from intent_stores.packed_feast import packed_view
from intent_stores.packed_online_store import PackedOnlineStore


class Bar(Protocol):
    """What follows a run; tqdm's bars do."""

    def update(self, rows: int) -> Any:
        """Say that so many more rows are in."""

    def close(self) -> Any:
        """Say that no more will follow."""


@dataclass(frozen=True)
class Materialization:
    """What is to be brought online.

    Attributes:
        view: the feature view.
        end_us: the moment as of which rows are read, microseconds since 1970: only those with `event_timestamp` and
            `created_timestamp` up to it count. If the view already holds a later moment, that one is meant.
        first_us: of a view without a watermark, only keys with something new at or after it; None means all.
        again_us: of a view with a watermark, what is new since this moment too, if that is earlier.
        everything: read all keys, whatever the watermark says.
        sequence: what orders these rows among others of equal times.
        look_back_us: how far before the watermark is read again, for rows that reached the source late.
        chunk_rows: rows that are read and written at a time.
    """

    config: RepoConfig
    offline_store: OfflineStore
    online_store: PackedOnlineStore
    view: Any
    end_us: int
    first_us: int | None = None
    again_us: int | None = None
    everything: bool = False
    sequence: int = 0
    look_back_us: int = 0
    chunk_rows: int = 20_000


@dataclass(frozen=True)
class Materialized:
    """What a run did.

    Attributes:
        rows: keys whose newest row the run brings online, those of an earlier attempt included.
        written: how many of them were written just now.
        end_us: the moment as of which the view now holds.
    """

    rows: int
    written: int
    end_us: int


def materialize_view(job: Materialization, ledger: Ledger, bar: Callable[[int], Bar] | None = None) -> Materialized:
    """Bring a view online; see the module.

    Arguments:
        bar: gets the number of rows, and follows them.

    Raises:
        SourceError: the source cannot be read, or was changed meanwhile.
        OnlineStoreUnavailableError: the store cannot be written.
        LedgerError: the ledger cannot be used, or another run holds the view for too long.
            In all these cases what was written is right and stays, the watermark has not moved, and the same call
            again goes on.
    """
    asked_us = time.time_ns() // 1000
    name, store = _name(job), job.online_store.packed_store(job.config)
    with ledger.view(job.config.project, name) as book, newest_rows(job.config, job.offline_store, job.view) as rows:
        held = _held(book.watermark(), read_marker(store, name), definition(job))
        plan = _planned(job, held, rows)
        other = book.completed_since(plan.identity, asked_us)
        if other is not None:  # somebody else did just this while we waited
            return Materialized(other.rows_in, 0, plan.end_us)
        run, first = _begun(book, plan, read_marker(store, name))
        total = rows.select(plan.since_us, plan.end_us)
        follow = bar(total) if bar else None
        try:
            _write(_Writing(job, plan, run, book, follow), rows, first, total)
        finally:
            if follow:
                follow.close()
        return Materialized(total, total - first, plan.end_us)


def held_watermark(job: Materialization, ledger: Ledger) -> Watermark | None:
    """Return what the online store holds of a view for certain; None if it must be brought online as a whole.

    Raises:
        LedgerError: the ledger cannot be used.
    """
    name = _name(job)
    marker = read_marker(job.online_store.packed_store(job.config), name)
    return _held(ledger.watermark(job.config.project, name), marker, definition(job))


def drop_view(job: Materialization) -> None:
    """Remove a view's rows. From the first one on the store holds nothing for certain, should this be cut off.

    Raises:
        OnlineStoreUnavailableError: the store cannot be written.
    """
    name, store = _name(job), job.online_store.packed_store(job.config)
    write_marker(store, name, Marker(None, "", 0, False))
    store.drop(name)


def definition(job: Materialization) -> str:
    """Return a hash of what a view's rows depend on: features, keys, and where and how its source is read."""
    view, source = packed_view(job.view, job.config), job.view.batch_source
    known = {name: getattr(source, name, None) for name in ("name", "path", "table", "query")}
    known |= {name: getattr(source, name, None) for name in ("timestamp_field", "created_timestamp_column")}
    known |= {"mapping": source.field_mapping, "tags": source.tags, "kind": type(source).__name__}
    return _digest(replace(view, ttl_us=0).as_dict(), known)


@dataclass(frozen=True)
class _Plan:
    """What a run reads, and what makes it the same run as an earlier one."""

    base: str | None
    since_us: int | None
    end_us: int
    definition: str
    identity: str
    resumable: bool


@dataclass(frozen=True)
class _Writing:
    job: Materialization
    plan: _Plan
    run: Run
    book: ViewLedger
    bar: Bar | None


def _held(watermark: Watermark | None, marker: Marker | None, defined: str) -> Watermark | None:
    if watermark is None or marker is None or watermark.definition != defined:
        return None
    return watermark if marker.holds(watermark.run_id) else None


def _planned(job: Materialization, held: Watermark | None, rows: NewestRows) -> _Plan:
    end, since = job.end_us, job.first_us
    if held is not None:
        end = max(end, held.end_us)
        since = held.seen_us - job.look_back_us
        since = since if job.again_us is None else min(since, job.again_us)
    if job.everything:
        since = None
    base, defined = None if held is None else held.run_id, definition(job)
    identity = _digest(defined, rows.fingerprint, base, since, end, job.sequence)
    return _Plan(base, since, end, defined, identity, rows.fingerprint is not None)


def _begun(book: ViewLedger, plan: _Plan, marker: Marker | None) -> tuple[Run, int]:
    """Return the run to do, and how many of its rows are in already."""
    run = book.unfinished(plan.identity) if plan.resumable else None
    if run is not None and marker is not None and marker.run == run.run_id:
        return run, min(run.rows_in, marker.rows)
    return book.begin(plan.identity, plan.end_us), 0


def _write(writing: _Writing, rows: NewestRows, first: int, total: int) -> None:
    job, plan, run = writing.job, writing.plan, writing.run
    name, store = _name(job), job.online_store.packed_store(job.config)
    marker = Marker(plan.base, run.run_id, first, False)
    _follow(writing.bar, first)
    for part in rows.parts(first, job.chunk_rows):
        job.online_store.write_arrow(job.config, job.view, part, sequence=job.sequence, whole_lists=True)
        marker = replace(marker, rows=marker.rows + part.num_rows)
        write_marker(store, name, marker)
        writing.book.advance(run, marker.rows)
        _follow(writing.bar, part.num_rows)
    if marker.rows != total:
        raise _incomplete(name, marker.rows, total)
    write_marker(store, name, replace(marker, done=True))
    seen = min(plan.end_us, run.started_us)
    writing.book.complete(run, Watermark(run.run_id, plan.definition, plan.end_us, seen))


def _follow(bar: Bar | None, rows: int) -> None:
    if bar:
        bar.update(rows)


def _incomplete(name: str, rows: int, total: int) -> SourceChangedError:
    return SourceChangedError(
        f"View {name!r}: {rows} rows came where {total} were counted, so its watermark has not moved. Expected "
        "a source that stays as it is meanwhile; run it again."
    )


def _name(job: Materialization) -> str:
    return packed_view(job.view, job.config).name


def _digest(*parts: Any) -> str:
    listed = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(listed.encode()).hexdigest()
