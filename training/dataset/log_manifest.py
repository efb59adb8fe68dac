"""What says that the tables of a log belong together: `log.json`, written last, with the SHA-256 of each file.

The tables take their places one after another. If an ingest is killed in between, old and new ones lie side by side,
and the manifest, which is still the old one, does not fit them.

Events that were streamed are part of the log: `events/stream-<first>-<last>.parquet` holds those with these numbers in
the outbox. An ingest keeps them.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.errors import SourceDataError
from training.atomic import write_json

__all__ = [
    "LOG_MANIFEST",
    "hash_log",
    "keep_stream_parts",
    "read_log_manifest",
    "require_whole_log",
    "stream_part",
    "stream_parts",
    "stream_position",
    "streamed_event_id",
    "write_log_manifest",
]

LOG_MANIFEST = "log.json"
TABLES = ("events", "users", "items", "quarantine")
FORMAT = 2
_STREAM_PART = re.compile(r"events/stream-(\d+)-(\d+)\.parquet")


def hash_log(out: Path) -> dict[str, str]:
    """Return the SHA-256 of every Parquet file of the log under `out`, by its path relative to `out`."""
    files = sorted(path for name in TABLES for path in (out / name).glob("*.parquet"))
    return {path.relative_to(out).as_posix(): _sha256(path) for path in files}


def write_log_manifest(out: Path, files: Mapping[str, str], ingest: Mapping[str, Any]) -> None:
    """Write `log.json`: the log under `out` is whole from now on.

    `files` is what `hash_log` returns for it, `ingest` the settings it was made with.
    """
    write_json(out / LOG_MANIFEST, {"format": FORMAT, "files": dict(files), "ingest": dict(ingest)})


def read_log_manifest(out: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Return what `write_log_manifest` was given: the files with their hashes, and the settings of the ingest.

    Raises:
        SourceDataError: there is no manifest, or it is not one.
    """
    path = out / LOG_MANIFEST
    if not path.is_file():
        raise SourceDataError(
            f"The log below {out} has no {LOG_MANIFEST}: nothing was ingested, or an ingest did not end; expected a "
            "whole log. Run `intent ingest` again."
        )
    return _files(path), dict(json.loads(path.read_bytes()).get("ingest", {}))


def stream_part(first: int, last: int) -> str:
    """Return the path, relative to the log, of the part with the streamed events `first` to `last`."""
    return f"events/stream-{first:012d}-{last:012d}.parquet"


def stream_parts(files: Mapping[str, str]) -> list[tuple[int, int]]:
    """Return (first, last) of each streamed part among the files of a manifest, in order."""
    found = [_STREAM_PART.fullmatch(name) for name in files]
    return sorted((int(part[1]), int(part[2])) for part in found if part)


def stream_position(out: Path, at: datetime | None = None) -> int:
    """Return the number, in the outbox, of the last streamed event that the log holds; 0 if it holds none.

    Args:
        out: the folder of the log.
        at: only events that were known at this moment; they come first, for their creation times rise.

    Raises:
        SourceDataError: the log has no manifest, or names a part that is not there.
    """
    parts = stream_parts(read_log_manifest(out)[0])
    if at is None:
        return max((last for _, last in parts), default=0)
    try:
        known = [pq.read_table(out / stream_part(*part), columns=["created_timestamp"])[0] for part in parts]
    except (OSError, pa.ArrowException) as error:
        raise SourceDataError(f"The log below {out} cannot be read: {error}. Run `intent apply` again.") from error
    return sum(pc.sum(pc.less_equal(column, pa.scalar(at, column.type))).as_py() for column in known)


def streamed_event_id(out: Path, seq: int) -> str | None:
    """Return the `event_id` of the streamed event `seq`; None if the log holds no event of that number.

    Raises:
        SourceDataError: the log has no manifest, or the part that holds the event cannot be read.
    """
    for first, last in stream_parts(read_log_manifest(out)[0]):
        if first <= seq <= last:
            try:
                return str(pq.read_table(out / stream_part(first, last), columns=["event_id"])[0][seq - first])
            except (OSError, pa.ArrowException) as error:
                raise SourceDataError(
                    f"The log below {out} cannot be read: {error}. Run `intent apply` again."
                ) from error
    return None


def keep_stream_parts(out: Path, fresh_events: Path) -> None:
    """Copy the streamed parts of the log into the folder that is to take the place of its events.

    Only parts that the manifest names are kept, of an earlier format as well; what else a killed run left, and all of
    them where the manifest cannot be read, is written again from the outbox.
    """
    try:
        named = dict(json.loads((out / LOG_MANIFEST).read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    for name in [stream_part(*part) for part in stream_parts(named)]:
        if (out / name).is_file():
            shutil.copyfile(out / name, fresh_events / Path(name).name)


def require_whole_log(out: Path) -> str:
    """Return the log's fingerprint, 64 hexadecimal digits: equal ones mean that every table has the same bytes.

    Raises:
        SourceDataError: there is no manifest, or a file is missing, one too many, or not the one it names.
    """
    named, found = read_log_manifest(out)[0], hash_log(out)
    wrong = sorted(name for name in named.keys() | found.keys() if named.get(name) != found.get(name))
    if wrong or not named:
        streamed = wrong and all(_STREAM_PART.fullmatch(name) for name in wrong)
        again = "intent apply` (it writes streamed events again" if streamed else "intent ingest` again"
        raise SourceDataError(
            f"The log below {out} is not whole: got {', '.join(wrong) or 'no files'} missing or other than "
            f"{LOG_MANIFEST} says; expected all tables from one ingest. Run `{again}{')' if streamed else ''}."
        )
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def _files(path: Path) -> dict[str, str]:
    got = ""
    try:
        told = json.loads(path.read_bytes())
        if told["format"] == FORMAT and isinstance(told["files"], dict):
            return dict(told["files"])
        if told["format"] in range(1, FORMAT):
            got = f", but format {told['format']}, that of an earlier version; streamed events will be kept"
    except (ValueError, KeyError, TypeError):
        pass
    raise SourceDataError(
        f"{path} is not a manifest of a log; expected JSON of format {FORMAT}, as `intent ingest` writes it{got}. "
        "Run `intent ingest` again."
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
