"""What the server's log says of an exception: its kind and where it was raised, never its text.

A text may hold what was sent, and so a customer's id: of our own errors it does not, of a library's it may.
"""

import logging
import traceback
from types import TracebackType

__all__ = ["WithoutTexts", "quieten"]

_LOGGERS = ("", "bentoml", "uvicorn", "uvicorn.error", "asyncio")


class WithoutTexts(logging.Filter):
    """Of a handler: passes every record, with the texts of its exception taken out."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True, having written the exception's kinds and frames in place of its text."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            record.exc_text = "\n".join(_told(error))
            record.exc_info = None
        return True


def quieten() -> None:
    """Take the texts of exceptions out of what the server's handlers write from now on."""
    for name in _LOGGERS:
        for handler in logging.getLogger(name).handlers:
            if not any(isinstance(known, WithoutTexts) for known in handler.filters):
                handler.addFilter(WithoutTexts())


def _told(error: BaseException) -> list[str]:
    """From the first cause to what was raised last, as Python tells it, without the texts."""
    lines: list[str] = []
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None:
        lines = [*_told(earlier), "", "and then:", ""]
    return [*lines, "Traceback (most recent call last):", *_frames(error.__traceback__), type(error).__qualname__]


def _frames(trace: TracebackType | None) -> list[str]:
    return [line.rstrip("\n") for line in traceback.format_tb(trace)]
