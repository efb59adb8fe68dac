"""Where answers go after they were given: a log, a shadow, or both. A sink takes at once and raises nothing."""

from dataclasses import dataclass
from typing import Protocol

from services.served_lines import ServedBatch

__all__ = ["AnswerSink", "both"]


class AnswerSink(Protocol):
    """Takes what was answered, off the request's path."""

    def offer(self, batch: ServedBatch) -> None:
        """Take a batch of answers; returns at once and raises nothing."""
        ...

    def close(self) -> None:
        """Finish what was taken."""
        ...


def both(first: AnswerSink | None, second: AnswerSink) -> AnswerSink:
    """Return a sink that gives every batch to both."""
    return second if first is None else _Both(first, second)


@dataclass(frozen=True)
class _Both:
    first: AnswerSink
    second: AnswerSink

    def offer(self, batch: ServedBatch) -> None:
        self.first.offer(batch)
        self.second.offer(batch)

    def close(self) -> None:
        self.first.close()
        self.second.close()
