"""What the log says of a problem that is not the request's fault, by the request_id that the caller is told."""

import logging
import time

from services.problems import Problem
from services.rate_limit import TokenBucket

__all__ = ["PROBLEM_LOG", "ProblemLog"]

_LINES_PER_SECOND, _LINES_AT_ONCE = 5.0, 100.0
_log = logging.getLogger("bentoml.intent")


class ProblemLog:
    """A line for each, of so many a second: while a store is away there may be thousands. Used from one event loop."""

    def __init__(self) -> None:
        self._bucket = TokenBucket(_LINES_PER_SECOND, _LINES_AT_ONCE, time.monotonic())
        self._left_out = 0

    def note(self, problem: Problem, request_id: str, cause: BaseException | None = None) -> None:
        """Log a problem of a status of 500 and above; of its cause the kind, for its text may hold a customer's id."""
        if problem.status < 500:
            return
        if self._bucket.take(time.monotonic()) > 0.0:
            self._left_out += 1
            return
        kind = "" if cause is None else f": {type(cause).__name__}"
        before = f" ({self._left_out} before it have no line)" if self._left_out else ""
        self._left_out = 0
        _log.error("Answered %d %s, request_id %s%s%s", problem.status, problem.code, request_id, kind, before)


PROBLEM_LOG = ProblemLog()
"""This process's: the log is its, too."""
