"""Progress on a terminal as a bar, elsewhere as a plain line every few seconds; both with rate and time left."""

import sys
import time
from types import TracebackType

import typer

from training.progress import Progress, Task

__all__ = ["progress"]

_EVERY_SECONDS = 2.0


def progress(quiet: bool = False) -> Progress:
    """Return what shows progress on standard error; `quiet` shows nothing."""
    from training.progress import Silent

    return Silent() if quiet else _Lines()


class _Lines:
    def task(self, what: str, total: int, unit: str) -> Task:
        return _Line(what, total, unit, sys.stderr.isatty())


class _Line:
    """One task as one line: rewritten in place on a terminal, else repeated every two seconds."""

    def __init__(self, what: str, total: int, unit: str, terminal: bool) -> None:
        self._what, self._total, self._unit, self._terminal = what, total, unit, terminal
        self._done, self._begun, self._shown = 0, time.perf_counter(), time.perf_counter()
        self._spoke = False

    def __enter__(self) -> "_Line":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spoke and kind is None:
            self._show()
        if self._spoke and self._terminal:
            typer.echo(err=True)

    def advance(self, count: int = 1) -> None:
        """Say that `count` more units are done; shown at most every two seconds."""
        self._done += count
        if time.perf_counter() - self._shown >= _EVERY_SECONDS:
            self._show()

    def _show(self) -> None:
        self._shown, self._spoke = time.perf_counter(), True
        elapsed = self._shown - self._begun
        rate = self._done / elapsed if elapsed else 0.0
        text = f"  {self._what}: {self._done:,} {self._unit}, {rate:,.1f} {self._unit}/s"
        if self._total:  # some sources do not say beforehand how much there is
            left = (self._total - self._done) / rate if rate else 0.0
            text = (
                f"  {self._what}: {self._done:,} of {self._total:,} {self._unit} ({self._done / self._total:.0%}), "
                f"{rate:,.1f} {self._unit}/s, {left:.0f} s left"
            )
        typer.echo(f"\r{text}\033[K" if self._terminal else text, err=True, nl=not self._terminal)
