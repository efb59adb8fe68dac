"""Errors as the service answers them: problem+json (RFC 9457) with a code, never an exception's text or a user id."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from feature_repo.errors import RequestError

__all__ = ["MEDIA_TYPE", "Problem", "Refused", "problem_for_status"]

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Problem:
    """Why a request was not answered.

    `status` is the HTTP status, `code` a stable word to program against, `title` its meaning, and `detail` says what
    was received, what was expected and what to do. `retry_after` is in seconds, None where a retry is no use; `also`
    are further headers of the answer, in lower case.
    """

    status: int
    code: str
    title: str
    detail: str
    retry_after: int | None = None
    also: Mapping[str, str] = field(default_factory=dict)

    def body(self, request_id: str) -> bytes:
        """Return the problem as JSON; `request_id` lets the operator find the request."""
        return json.dumps(
            {
                "type": f"urn:purchase-intent:problem:{self.code}",
                "title": self.title,
                "status": self.status,
                "code": self.code,
                "detail": self.detail,
                "request_id": request_id,
            }
        ).encode()

    def headers(self) -> dict[str, str]:
        """Return the response's headers: the media type, and when to try again."""
        again = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        return {"content-type": MEDIA_TYPE} | again | dict(self.also)


class Refused(RequestError):
    """A request that is not answered; `problem` is what the caller is told."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


_BY_STATUS = {
    401: (
        "unauthorised",
        "Key missing or not valid",
        "Expected the header 'Authorization: Bearer <key>' with a key that is known and has not expired. Ask the "
        "operator for one.",
    ),
    403: ("forbidden", "Not allowed", "The key is valid, and does not give the right to this. Ask for another."),
    404: (
        "not_found",
        "No such route",
        "This path is not served; expected POST /score. See /docs.json for all routes.",
    ),
    405: ("method_not_allowed", "Method not allowed", "This path takes another method; expected POST for /score."),
    408: (
        "body_too_slow",
        "Body too slow",
        "The body did not arrive in time. Send it at once, and not in parts over a slow connection.",
    ),
    413: ("body_too_large", "Body too large", "The body has more bytes than this route takes. Send less at a time."),
    415: ("unsupported_media_type", "Media type not supported", "Expected a body of the type application/json."),
    429: ("too_many_requests", "Too many requests", "More requests than allowed are in progress. Try again shortly."),
    431: ("headers_too_large", "Headers too large", "Expected at most 16 KiB of headers, and at most 64 of them."),
    503: ("not_ready", "Not ready", "The service cannot answer yet. See /readyz for the reason."),
    504: ("timeout", "Timed out", "The request took longer than allowed. Try again, with fewer customers at a time."),
}


def problem_for_status(
    status: int, detail: str | None = None, also: Mapping[str, str] | None = None, retry_after: int | None = None
) -> Problem:
    """Return the problem for an HTTP status, with `detail` and further headers where they say more."""
    code, title, text = _BY_STATUS.get(
        status,
        (
            "internal_error",
            "Internal error",
            "An error that is not the request's fault. Tell the operator its request_id.",
        )
        if status >= 500
        else ("bad_request", "Bad request", "The request cannot be read; expected JSON over HTTP."),
    )
    again = retry_after or (1 if status in (429, 503) else None)
    return Problem(status, code, title, detail or text, again, also or {})
