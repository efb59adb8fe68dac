"""What was streamed, added to the log: the next training set sees exactly the events that were acknowledged.

A part of the log holds the events of a range of the outbox's numbers and nothing else, so it can be written again at
any time. The manifest names a part only when it is on the disk; what a killed run left beside it is swept by the next.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from feature_repo.errors import SourceDataError
from feature_repo.events import EVENT_SCHEMA
from feature_repo.streaming.outbox import Outbox, Stored
from training.atomic import write_parquet
from training.dataset.log_manifest import (
    hash_log,
    read_log_manifest,
    stream_part,
    stream_parts,
    streamed_event_id,
    write_log_manifest,
)
from training.progress import Progress

__all__ = ["add_outbox", "add_streamed_events", "outbox_url"]

_PART_ROWS = 200_000


def outbox_url(out: Path) -> str:
    """Return where a run's outbox lies unless it is said: in a SQLite file below the run's folder."""
    return f"sqlite:///{out.resolve() / 'stream' / 'outbox.db'}"


def add_outbox(out: Path, url: str | None, progress: Progress) -> int:
    """Do as `add_streamed_events` for the outbox at `url`, or for the run's own if there is one."""
    if url is None and not (out / "stream" / "outbox.db").is_file():
        return 0
    outbox = Outbox(url or outbox_url(out))
    try:
        return add_streamed_events(out, outbox, progress)
    finally:
        outbox.close()


def add_streamed_events(out: Path, outbox: Outbox, progress: Progress) -> int:
    """Write what the outbox holds beyond the log as parts of it, and return how many events.

    Parts that were damaged or lost are written again. May be killed and repeated.

    Raises:
        SourceDataError: nothing was ingested, or the outbox is not the one that the log's parts came from.
        DependencyDown: the outbox does not answer.
    """
    with _alone(out):
        files, ingest = read_log_manifest(out)
        parts = stream_parts(files)
        _sweep(out, parts)
        done, head = max((last for _, last in parts), default=0), outbox.head()
        if head < done:
            raise SourceDataError(
                f"The log below {out} holds streamed events up to number {done}, but the outbox ends at {head}; "
                "expected the outbox that they came from. Bring it back, or begin with another folder."
            )
        found = hash_log(out)
        _require_same_events(out, outbox, [p for p in parts if found.get(stream_part(*p)) == files[stream_part(*p)]])
        wanted = [part for part in parts if found.get(stream_part(*part)) != files[stream_part(*part)]]
        wanted += [(first, min(first + _PART_ROWS - 1, head)) for first in range(done + 1, head + 1, _PART_ROWS)]
        if not wanted:
            return 0
        with progress.task("adding streamed events", sum(last - first + 1 for first, last in wanted), "events") as task:
            for first, last in wanted:
                stored = outbox.after(first - 1, last - first + 1, until=last)
                write_parquet(out / stream_part(first, last), _table(stored))
                task.advance(len(stored))
        fresh = hash_log(out)
        named = files.keys() | {stream_part(*part) for part in wanted}
        told = {name: fresh.get(name, files.get(name, "")) for name in sorted(named)}
        # What an ingest wrote keeps the hash that the ingest told: damage there must not be signed here.
        told |= {name: value for name, value in files.items() if not name.startswith("events/stream-")}
        write_log_manifest(out, told, ingest)
    return head - done


def _require_same_events(out: Path, outbox: Outbox, whole: list[tuple[int, int]]) -> None:
    """Refuse an outbox that has another event than the log where the last undamaged part ends."""
    if not whole:
        return
    last = whole[-1][1]
    (stored,) = outbox.after(last - 1, 1)
    if stored.event.event_id != streamed_event_id(out, last):
        raise SourceDataError(
            f"The log below {out} holds another event of number {last} than the outbox; expected the outbox that the "
            "log's streamed events came from. Bring it back, or begin with another folder."
        )


def _sweep(out: Path, parts: list[tuple[int, int]]) -> None:
    named = {out / stream_part(*part) for part in parts}
    for path in (out / "events").glob("stream-*.parquet"):
        if path not in named:
            path.unlink()


def _table(events: list[Stored]) -> pa.Table:
    rows = [one.event for one in events]
    times = {"event_timestamp": "event_us", "created_timestamp": "created_us"}
    columns = [
        pa.array([getattr(row, times.get(field.name, field.name)) for row in rows], _plain(field.type)).cast(field.type)
        for field in EVENT_SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=EVENT_SCHEMA)


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(kind) else kind


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Let one process at a time add to the log; the system lets go when it is killed."""
    (out / "stream").mkdir(parents=True, exist_ok=True)
    with (out / "stream" / "log.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
