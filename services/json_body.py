"""A route's body, read by our own rules: BentoML's reading accepts fields given twice, NaN and unknown fields."""

from datetime import UTC, datetime
from typing import Any

import bentoml
from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request

from services.problems import problem_for_status
from services.request_reading import Refused, read_request
from services.routes import Route

__all__ = ["body_of"]


def body_of(route: Route) -> Any:
    """Return the input specification of `route` for BentoML.

    Its API method gets the request that the body holds, or the `Problem` with it.
    """
    limit, model = route.body_bytes, route.request

    async def from_http_request(cls: type[BaseModel], request: Request, serde: Any) -> Any:
        media_type = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
        if media_type != "application/json":
            return problem_for_status(415)
        try:
            return read_request(await _bounded_body(request, limit), model, datetime.now(UTC), limit)
        except Refused as refused:
            return refused.problem
        except ClientDisconnect:
            return problem_for_status(400)  # nobody is left to read it; it keeps the log free of a traceback

    members = {
        "__module__": __name__,
        "__doc__": model.__doc__,
        "__root_input__": True,
        "from_http_request": classmethod(from_http_request),
    }
    return type(f"{model.__name__}Body", (model, bentoml.IODescriptor), members)


async def _bounded_body(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            break
    return bytes(body)
