"""Parquet written so that a reader, or a crash, never meets half a file."""

import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from feast.errors import SavedDatasetLocationAlreadyExists

from intent_stores.errors import WriteError

PARQUET = ".parquet"


def write_dataset(table: pa.Table, destination: str, shown: str, allow_overwrite: bool) -> None:
    """Write one table to a file (a name ending in `.parquet`) or as the only part of a folder.

    Raises:
        SavedDatasetLocationAlreadyExists: `destination` exists and may not be overwritten.
        WriteError: it could not be written; `destination` is as it was.
    """
    path = _local(destination)
    if path.exists() and not allow_overwrite:
        raise SavedDatasetLocationAlreadyExists(location=shown)
    if path.suffix == PARQUET and not path.is_dir():
        replace_file(table, path)
    else:
        _replace_folder(table, path)


def append_part(table: pa.Table, folder: Path) -> Path:
    """Add a part file to a folder and return its path; parts sort in the order in which they were written."""
    existing = [p.name for p in folder.glob(f"*{PARQUET}")] if folder.is_dir() else []
    number = 1 + max((_part_number(name) for name in existing), default=-1)
    # The letter sorts our parts behind other writers' usual names, and the number behind each other.
    part = folder / f"part-{number:010d}-{uuid.uuid4().hex}{PARQUET}"
    replace_file(table, part)
    return part


def replace_file(table: pa.Table, path: Path) -> None:
    """Write a file beside its destination, flush it to the disk, and move it there in one step.

    Raises:
        WriteError: it could not be written; nothing is left behind.
    """
    _install(path, lambda temporary: _write_flushed(table, temporary))


def _part_number(name: str) -> int:
    pieces = name.split("-")
    return int(pieces[1]) if len(pieces) > 2 and pieces[0] == "part" and pieces[1].isdigit() else -1


def _replace_folder(table: pa.Table, folder: Path) -> None:
    def fill(temporary: Path) -> None:
        temporary.mkdir()
        _write_flushed(table, temporary / f"part-{0:010d}-{uuid.uuid4().hex}{PARQUET}")

    _install(folder, fill)


def _install(path: Path, write: Callable[[Path], None]) -> None:
    # A leading dot hides it from every reader of the folder, ours included.
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        if path.is_dir():
            old = path.parent / f".{path.name}.{uuid.uuid4().hex}.old"
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old)
        else:
            temporary.replace(path)
        _flush(path.parent)
    except (OSError, pa.ArrowException) as error:
        raise WriteError(
            f"{path} could not be written: {error}; expected a folder with room that may be written. "
            "What was there before is unchanged. Free space or correct the path, and run it again."
        ) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _write_flushed(table: pa.Table, path: Path) -> None:
    # Microseconds: DuckDB cannot cast nanosecond timestamps with a zone, and no moment here is finer.
    pq.write_table(table, path, coerce_timestamps="us", allow_truncated_timestamps=True)
    _flush(path)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _local(destination: str) -> Path:
    if "://" in destination:
        raise WriteError(
            f"{destination} is remote; expected a local path, where a write can be made all-or-nothing. "
            "Write locally and copy it, or use a store made for that location."
        )
    return Path(destination)
