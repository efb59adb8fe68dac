"""Write whole or not at all: a temporary name beside the target, fsync, rename, fsync of the folder.

A killed step therefore never leaves a half-written file that a later step would take for a whole one.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["replace_folder", "write_bytes", "write_json", "write_parquet", "write_text"]


def write_bytes(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data`; readers see the old content or the new one."""
    _write(path, lambda temporary: temporary.write_bytes(data))


def write_text(path: Path, text: str) -> None:
    """Replace the file at `path` by `text` in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replace the file at `path` by `value` as JSON; NaN and infinity are refused, for they are not JSON."""
    write_text(path, json.dumps(value, indent=2, sort_keys=False, allow_nan=False) + "\n")


def write_parquet(path: Path, table: pa.Table) -> None:
    """Replace the file at `path` by `table` as Parquet with zstd compression."""
    _write(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))


@contextmanager
def replace_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `target` when the block ends without an error.

    On an error it is removed, and `target` stays as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield fresh
        _sync_tree(fresh)
        _swap(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _write(path: Path, produce: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        produce(temporary)
        temporary.chmod(0o644)  # mkstemp gives 0600; a result is meant to be read
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    folder.chmod(0o755)
    for path in sorted(folder.rglob("*")):
        _sync(path)
    _sync(folder)


def _swap(fresh: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)
