"""What says that the tables of a log belong together: `log.json`, written last, with the SHA-256 of each file.

The tables take their places one after another. If an ingest is killed in between, old and new ones lie side by side,
and the manifest, which is still the old one, does not fit them.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feature_repo.errors import SourceDataError
from training.atomic import write_json

__all__ = ["LOG_MANIFEST", "hash_log", "require_whole_log", "write_log_manifest"]

LOG_MANIFEST = "log.json"
TABLES = ("events", "users", "items", "quarantine")
FORMAT = 1


def hash_log(out: Path) -> dict[str, str]:
    """Return the SHA-256 of every Parquet file of the log under `out`, by its path relative to `out`."""
    files = sorted(path for name in TABLES for path in (out / name).glob("*.parquet"))
    return {path.relative_to(out).as_posix(): _sha256(path) for path in files}


def write_log_manifest(out: Path, files: Mapping[str, str], ingest: Mapping[str, Any]) -> None:
    """Write `log.json`: the log under `out` is whole from now on.

    `files` is what `hash_log` returns for it, `ingest` the settings it was made with.
    """
    write_json(out / LOG_MANIFEST, {"format": FORMAT, "files": dict(files), "ingest": dict(ingest)})


def require_whole_log(out: Path) -> str:
    """Return the log's fingerprint, 64 hexadecimal digits: equal ones mean that every table has the same bytes.

    Raises:
        SourceDataError: there is no manifest, or a file is missing, one too many, or not the one it names.
    """
    path = out / LOG_MANIFEST
    if not path.is_file():
        raise SourceDataError(
            f"The log below {out} has no {LOG_MANIFEST}: nothing was ingested, or an ingest did not end; expected a "
            "whole log. Run `intent ingest` again."
        )
    named, found = _files(path), hash_log(out)
    wrong = sorted(name for name in named.keys() | found.keys() if named.get(name) != found.get(name))
    if wrong or not named:
        raise SourceDataError(
            f"The log below {out} is not whole: got {', '.join(wrong) or 'no files'} missing or other than "
            f"{LOG_MANIFEST} says; expected all tables from one ingest. Run `intent ingest` again."
        )
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def _files(path: Path) -> dict[str, str]:
    try:
        told = json.loads(path.read_bytes())
        if told["format"] == FORMAT and isinstance(told["files"], dict):
            return dict(told["files"])
    except (ValueError, KeyError, TypeError):
        pass
    raise SourceDataError(
        f"{path} is not a manifest of a log; expected JSON of format {FORMAT}, as `intent ingest` writes it. "
        "Run `intent ingest` again."
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
