"""How a long step says how far it is, without knowing who listens."""

from types import TracebackType
from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """Something that follows a task: a bar on a terminal, plain lines elsewhere."""

    def task(self, what: str, total: int, unit: str) -> "Task":
        """Begin a task of `total` units; call the result's `advance` as it goes on."""


class Task(Protocol):
    """One task of a `Progress`, used as a context manager."""

    def __enter__(self) -> "Task": ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def advance(self, count: int = 1) -> None:
        """Say that `count` more units are done."""


class Silent:
    """A `Progress` that nobody listens to; for tests and for callers in code."""

    def task(self, what: str, total: int, unit: str) -> Task:
        """Begin a task in silence."""
        return _SilentTask()


class _SilentTask:
    def __enter__(self) -> "_SilentTask":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        return None

    def advance(self, count: int = 1) -> None:
        """Say nothing."""
