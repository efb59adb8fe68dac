"""A disk that a test may fill or turn read-only: a small one in memory, mounted for the test."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a disk of one megabyte at `folder`; skips where the system does not let us."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a disk cannot be mounted here ({mounted.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def remount(disk: Path, options: str) -> None:
    """Change a mounted disk: `size=4m`, `ro`, `rw`."""
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)
