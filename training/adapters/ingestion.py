"""From a source to the canonical log: read, judge, set apart, write; everything or nothing."""

import math
import shutil
import time
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feature_repo.errors import SettingsError, SourceDataError
from training.adapters.canonical_log import write_log
from training.adapters.contract import (
    Adapter,
    CanonicalChunk,
    DataSettings,
    IngestReport,
    IngestSettings,
    Source,
    TabularAdapter,
)
from training.adapters.data_card import DataCard, describe, write_card
from training.adapters.registry import adapter_named
from training.adapters.staging import Staging, staging
from training.adapters.tabular import ingest_table
from training.adapters.validation import verdicts
from training.dataset.log_manifest import hash_log, read_log_manifest, write_log_manifest
from training.progress import Progress, Silent

__all__ = ["ingest"]

HOUR_US = 3_600_000_000
BUCKETS = 2**32
SPOOL = ".source"  # what was read of a database; kept when a run fails, so that the next one goes on from there


def ingest(
    settings: IngestSettings,
    out: Path,
    *,
    adapter: str | None = None,
    path: Path | None = None,
    sample: float | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Read a shop's data and write it as the canonical log under `out`, with a data card.

    `adapter` and `path` take the place of what the settings say; a path in the settings counts only for the adapter
    in the settings. `sample` in (0, 1] keeps that share of the customers, always the same ones. Ingesting the same
    file again gives the same bytes. Nothing under `out` changes unless all of it could be written; the log of another
    adapter or source that was there is replaced, and the report says so.

    Raises:
        SettingsError: unknown adapter, a bad sample, delay or mapping.
        SourceDataError: the source is missing, damaged, empty, lacks a column, or none of its rows can be used.
    """
    began = time.perf_counter()
    data = settings.data
    chosen = adapter_named(adapter or data.adapter)
    if path is None and chosen.description.name == data.adapter:
        path = data.path
    _check_sample(sample)
    delay = _delay_hours(chosen, data)
    source = chosen.locate(data, path)
    if isinstance(chosen, TabularAdapter):
        return ingest_table(chosen, source, out, sample)
    if not source.files:
        source = replace(source, spool=out / SPOOL)
    with staging(out, fingerprinted=not source.files) as staged:
        before = _maker(out)
        rows_in = _stage(chosen, source, data, staged, sample, progress or Silent())
        staged.settle()
        _require_events(staged, source, rows_in, data)
        card = describe(staged, chosen.description, source, rows_in, delay, sample)
        counts = write_log(staged, out, round(delay * HOUR_US))
        files = hash_log(out)
        write_card(card, out, files)
        write_log_manifest(out, files, _told(card, data))  # last: from here on the log is whole
        if source.spool:
            shutil.rmtree(source.spool, ignore_errors=True)
    replaced = before if before not in (None, (card.adapter, card.source)) else None
    return _report(card, counts, replaced, time.perf_counter() - began)


def _maker(out: Path) -> tuple[str, str] | None:
    """The adapter and the source of the log under `out`, if one is there."""
    with suppress(SourceDataError):
        told = read_log_manifest(out)[1]
        return (str(told["adapter"]), str(told["source"])) if {"adapter", "source"} <= told.keys() else None
    return None


def _report(card: DataCard, counts: dict[str, int], replaced: tuple[str, str] | None, seconds: float) -> IngestReport:
    return IngestReport(
        adapter=card.adapter,
        source=card.source,
        rows_in=card.rows_in,
        events=counts["events"],
        users=counts["users"],
        items=counts["items"],
        customers=card.customers,
        distinct_items=card.distinct_items,
        first=card.first,
        last=card.last,
        delay_hours=card.delay_hours,
        seconds=round(seconds, 3),
        quarantined=card.quarantined,
        odd=tuple(card.odd),
        attribute_rows=card.attribute_rows,
        replaced=replaced,
    )


def _told(card: DataCard, data: DataSettings) -> dict[str, Any]:
    """What the log was made with; the path is left out, which differs between machines."""
    told = {name: getattr(card, name) for name in ("adapter", "source", "source_sha256", "sample", "delay_hours")}
    told |= {"columns": dict(data.columns), "constants": dict(data.constants), "timezone": data.timezone}
    if data.event_types:
        told["event_types"] = dict(data.event_types)
    return told | ({"time_format": data.time_format} if data.time_format else {})


def _stage(
    adapter: Adapter, source: Source, data: DataSettings, staged: Staging, sample: float | None, progress: Progress
) -> int:
    counts = adapter.description.counts
    seen = kept = 0
    # A total of 0 says that nobody knows how many rows there are before they are read.
    with progress.task("ingest", counts.lines if counts else 0, "rows") as task:
        for chunk in adapter.read(source, data):
            rows = chunk.rows.num_rows + len(chunk.unreadable)
            taken = chunk if sample is None else _take(chunk, sample)
            staged.add(taken, verdicts(taken))
            if chunk.about == "events":
                seen, kept = seen + rows, kept + taken.rows.num_rows + len(taken.unreadable)
            task.advance(rows)
    if not seen:
        check = "that the export ended" if source.files else f"the events query in {data.file}"
        raise SourceDataError(f"{source.name} holds no rows; expected at least one. Check {check}.")
    return kept


def _take(chunk: CanonicalChunk, sample: float) -> CanonicalChunk:
    """The chunk of a sample of the customers; what is said about items stays whole."""
    if chunk.about == "items":
        return chunk
    keep = _in_sample(chunk.rows["user_id"], sample)
    mask = pa.array(keep)
    return replace(
        chunk,
        source=chunk.source.filter(mask),
        rows=chunk.rows.filter(mask),
        source_row=chunk.source_row[keep],
        problems=tuple(replace(problem, rows=problem.rows[keep]) for problem in chunk.problems),
    )


def _in_sample(users: pa.ChunkedArray, sample: float) -> npt.NDArray[np.bool_]:
    # A row that names nobody is kept: it goes to quarantine in a sample as it does in the whole.
    encoded = users.combine_chunks().dictionary_encode()
    chosen = [_bucket(user) < sample * BUCKETS for user in encoded.dictionary.to_pylist()]
    keep = pa.array(chosen, pa.bool_()).take(encoded.indices).fill_null(True)
    mask: npt.NDArray[np.bool_] = keep.to_numpy(zero_copy_only=False)
    return mask


def _bucket(user_id: str) -> int:
    return int.from_bytes(blake2b(user_id.encode(), digest_size=4).digest(), "big")


def _check_sample(sample: float | None) -> None:
    if sample is not None and not 0 < sample <= 1:
        raise SettingsError(f"The sample is not a share of the customers: got {sample}; expected 0 < sample <= 1.")


def _delay_hours(adapter: Adapter | TabularAdapter, data: DataSettings) -> float:
    declared = adapter.description.delay_hours
    delay = data.delay_hours if declared is None else declared
    if not math.isfinite(delay) or delay < 0:
        raise SettingsError(
            f"delay_hours is not a delay: got {delay}; expected hours from an event to when it is known, 0 or more."
        )
    return delay


_OF_TIMES = frozenset(("unreadable_timestamp", "timestamp_out_of_range"))


def _require_events(staged: Staging, source: Source, rows_in: int, data: DataSettings) -> None:
    if staged.given["user_id"]:
        return
    if not rows_in:
        raise SourceDataError(f"The sample of {source.name} holds no customer. Take a larger sample.")
    query = """SELECT reason, detail, count(*) AS n FROM quarantine WHERE about = 'events'
        GROUP BY ALL ORDER BY n DESC, reason, detail LIMIT 5"""
    found = staged.connection.execute(query).fetchall()
    reasons = "; ".join(f"{reason} ({detail}) in {n:,} rows" for reason, detail, n in found)
    seen = {reason for reason, _, _ in found}
    also = ", and how times are written ([data] time_format)" if seen & _OF_TIMES else ""
    also += ", and which type each word is ([data.event_types])" if "unknown_event_type" in seen else ""
    raise SourceDataError(
        f"None of the {rows_in:,} rows of {source.name} can be used: {reasons}. Check the adapter and, in {data.file}, "
        f"which columns [data.columns] names{also}; nothing was written."
    )
