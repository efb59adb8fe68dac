"""Reading the files of a bundle that may be hostile: bounded, never through a link, and JSON without tricks."""

import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from feature_repo.errors import BundleError

__all__ = ["AGAIN", "MANIFEST", "SIGNATURE", "is_file_name", "json_object", "listing", "read_bounded", "verified"]

AGAIN = "Publish it again with `intent publish`, or restore the folder from a copy."
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"

_MOST_FILES = 1000
_MOST_BYTES = 2**28  # a bundle is held in memory: a file of half a gigabyte is not one of ours
_MOST_JSON_BYTES = 2**25
_LONGEST_NAME = 200
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")


def is_file_name(name: str) -> bool:
    """Whether a manifest may name a file so: a relative path of plain parts, in the folder whatever it is joined to."""
    return len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None


def listing(path: Path) -> set[str]:
    """Return the files below `path` but the manifest and its signature; links and special files are not followed.

    Raises:
        BundleError: something there is no plain file, or there are more than a bundle has.
    """
    found: set[str] = set()
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        for entry in _entries(folder):
            name = Path(entry.path).relative_to(path).as_posix()
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            elif not entry.is_file(follow_symlinks=False):
                raise BundleError(f"Bundle holds something that is not a plain file: {name!r}. {AGAIN}")
            found.add(name)
            if len(found) > _MOST_FILES:
                raise BundleError(f"Bundle holds more than {_MOST_FILES} files and folders; expected fewer. {AGAIN}")
    return {name for name in found if not (path / name).is_dir()} - {MANIFEST, SIGNATURE}


def verified(path: Path, name: str, expected: str) -> bytes:
    """Return the bytes of the bundle's file `name`, whose SHA-256 is `expected`.

    Raises:
        BundleError: it is missing, a link, too large, or another one.
    """
    data = read_bounded(path / name, name, _MOST_JSON_BYTES if name.endswith((".json", ".md")) else _MOST_BYTES)
    got = hashlib.sha256(data).hexdigest()
    if got != expected:
        raise BundleError(
            f"Bundle file {name!r} was altered: got SHA-256 {got[:12]}…; expected {expected[:12]}…. {AGAIN}"
        )
    return data


def read_bounded(path: Path, name: str, most: int) -> bytes:
    """Return the bytes of a plain file of at most `most` bytes. What is checked is what is read: one open file.

    Raises:
        BundleError: it is missing, a link, no plain file, or larger.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BundleError(f"Bundle file {name!r} is not a plain file. {AGAIN}")
            data = b"" if found.st_size > most else file.read(most + 1)
    except OSError as error:
        raise BundleError(f"Bundle file {name!r} cannot be read ({error.strerror}). {AGAIN}") from error
    if found.st_size > most or len(data) > most:
        raise BundleError(f"Bundle file {name!r} is too large: expected at most {most} bytes. {AGAIN}")
    return data


def json_object(raw: bytes, name: str) -> dict[str, Any]:
    """Return a JSON object in which no name is given twice and every number is finite.

    Raises:
        BundleError: it is none.
    """
    try:
        value = json.loads(raw, object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"Bundle file {name!r} is not JSON, or not the JSON of a bundle. {AGAIN}") from error
    if not isinstance(value, dict):
        raise BundleError(f"Bundle file {name!r} is not a JSON object. {AGAIN}")
    return value


def _entries(folder: Path) -> Iterable["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise BundleError(f"Bundle folder cannot be listed ({error.strerror}). {AGAIN}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name is given twice")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):  # NaN and Infinity, and a number beyond a double such as 1e999
        raise ValueError(text)
    return value
