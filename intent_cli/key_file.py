"""The file of API keys: read, and changed as a whole, by one process at a time; readable by its owner alone."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feature_repo.errors import InputError
from services.access_keys import KeyRow, KeyRows, read_keys
from training.atomic import replace_file

__all__ = ["change_keys", "kept_keys"]


def kept_keys(file: Path) -> list[KeyRow]:
    """Return the keys in `file`, none if there is no such file.

    Raises:
        InputError: it cannot be read, or is no file of keys.
    """
    try:
        return list(read_keys(file.read_bytes(), str(file)).keys)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"Keys cannot be read from {file} ({error.strerror}); expected a file of keys.") from None


@contextmanager
def change_keys(file: Path) -> Iterator[list[KeyRow]]:
    """Yield the keys to be changed; when the block ends without an error, they are what the file holds.

    Raises:
        InputError: the file cannot be read or written, or is no file of keys.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.with_name(f".{file.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            rows = kept_keys(file)
            yield rows
            _write(file, KeyRows(keys=tuple(rows)).model_dump_json(indent=2).encode() + b"\n")
    except OSError as error:
        raise InputError(f"Keys cannot be written to {file} ({error.strerror}); expected a writable folder.") from None


def _write(file: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # readable by its owner alone
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as target:
            target.write(content)
        replace_file(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
