"""Write whole or not at all: a temporary name beside the target, fsync, rename, fsync of the folder.

A killed step therefore never leaves a half-written file that a later step would take for a whole one.
"""

import ctypes
import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = [
    "replace_file",
    "replace_folder",
    "write_bytes",
    "write_json",
    "write_parquet",
    "write_parquet_batches",
    "write_text",
]

# From Linux's fcntl.h and fs.h: paths are relative to the working directory; the two names change places.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_GROUP_ROWS = 1 << 20


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


def write_parquet_batches(path: Path, rows: pa.RecordBatchReader) -> int:
    """Replace the file at `path` by the rows as they come, and return how many there were.

    A row group has about a million rows, as `write_parquet` makes them: that many are in memory, and no more.
    """
    count = 0

    def produce(temporary: Path) -> None:
        nonlocal count
        with pq.ParquetWriter(temporary, rows.schema, compression="zstd") as writer:
            for group in _groups(rows):
                writer.write_table(group)
                count += group.num_rows

    _write(path, produce)
    return count


def _groups(rows: pa.RecordBatchReader) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for batch in rows:
        if waiting and sum(map(len, waiting)) + len(batch) > _GROUP_ROWS:
            yield pa.Table.from_batches(waiting)
            waiting = []
        waiting.append(batch)
    if waiting:
        yield pa.Table.from_batches(waiting)


def replace_file(fresh: Path, target: Path) -> None:
    """Put the finished file `fresh` in the place of `target`; both lie on one file system.

    When it returns, the file is on the disk under its name; a kill before leaves `target` as it was.
    """
    _sync(fresh)
    fresh.replace(target)
    _sync(target.parent)


@contextmanager
def replace_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `target` when the block ends without an error.

    On an error it is removed, and `target` stays as it was. Where the system can exchange two names (Linux), `target`
    is there at every moment; elsewhere a kill between two renames leaves it beside its place, and the next call with
    the same `target` puts it back.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _recover(target)
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
        replace_file(temporary, path)
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
    """Put `fresh` in the place of `target`; what was there is at `fresh` afterwards, or gone."""
    if not target.exists():
        fresh.rename(target)
    elif not _exchange(fresh, target):
        _swap_in_two_steps(fresh, target)
    _sync(target.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places at once, so that no kill finds neither; False where the system cannot do it."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):  # an old kernel, or a file system without exchange
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


def _swap_in_two_steps(fresh: Path, target: Path) -> None:
    # A kill between the two renames leaves no target; the next `replace_folder` puts the old one back.
    old = _set_aside(target)
    target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        old.rename(target)
        raise
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _recover(target: Path) -> None:
    old = _set_aside(target)
    if old.exists() and not target.exists():
        old.rename(target)
        _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _set_aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")
