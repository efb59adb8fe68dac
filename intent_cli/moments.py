"""A moment as a person writes it."""

import re
from datetime import UTC, datetime

from feature_repo.errors import RequestError

__all__ = ["moment_of"]


def moment_of(text: str | None) -> datetime | None:
    """Return the moment of an ISO 8601 date or time, in UTC; UTC is meant where it names no zone. None for None.

    Raises:
        RequestError: it is not one; a bare number is refused, for it could be seconds or milliseconds.

    >>> moment_of("2001-02-19T00:00:00+08:00").isoformat()
    '2001-02-18T16:00:00+00:00'
    """
    if text is None:
        return None
    try:
        if not re.match(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError(text)
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise RequestError(
            f"--at {text!r} is not a moment; expected ISO 8601 such as 2001-02-19 or 2001-02-19T12:00:00+08:00. "
            "Write it so."
        ) from None
