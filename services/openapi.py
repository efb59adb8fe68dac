"""The OpenAPI document at `/docs.json`: every route with its models, an example that can be sent, and its problems.

BentoML's own document knows neither problem+json nor what this service adds; this one takes its place, and BentoML's
Swagger UI shows it on the page at `/` (`document_page.py`).
"""

from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.contract_parts import example_of
from services.problems import MEDIA_TYPE
from services.routes import ROUTES, Route

__all__ = ["document"]

_PLACE = "#/components/schemas/{model}"
_PROBLEMS = {
    400: "The body is not JSON.",
    401: "A key is missing or not valid.",
    403: "The key does not give the right to this.",
    404: "There is no such route, or no model that answers it.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    415: "The body is not `application/json`.",
    422: "The body is not what this route takes; the detail says what is.",
    429: "Too much is in progress; try again after `Retry-After` seconds.",
    431: "The headers are too large.",
    500: "An error that is not the request's fault.",
    503: "The service cannot answer this just now.",
    504: "The answer took longer than allowed.",
}
_SAYS = {
    "/score": "Will this customer buy within the horizon",
    "/score_batch": "The same for up to 1,000 customers",
    "/rank": "Which of up to 500 items the customer will most probably buy",
    "/explain": "Why a score is what it is",
    "/events": "Take events as they happen",
    "/feedback": "Take what became of answers",
}
_NEEDS = {
    "/events": " Where the service has no outbox: 503 `no_outbox`.",
    "/feedback": " Where the service logs no answers: 503 `no_served_log`.",
}


def _later(**about: str) -> dict[str, Any]:
    outcome = {"request_id": "$response.body#/request_id", **about, "bought": True}
    return {
        "operationId": "feedback",
        "requestBody": {"outcomes": [outcome]},
        "description": "What became of the answer.",
    }


_SEEN = {
    "operationId": "score",
    "requestBody": {"user_id": "$request.body#/events/0/user_id"},
    "description": "The next score sees the events, if its model reads them.",
}
_LINKS: dict[str, dict[str, Any]] = {
    "/score": {"feedback": _later()},
    "/score_batch": {"feedback": _later(user_id="$response.body#/scores/0/user_id")},
    "/rank": {"feedback": _later(item_id="$response.body#/items/0/item_id")},
    "/events": {"score": _SEEN},
}
"""Which request follows which answer."""

_READ = {
    "/livez": ("Whether the process lives", "text/plain"),
    "/readyz": ("Whether it can answer; `degraded` says why answers are not what they could be", "application/json"),
    "/model": ("The model: its card, metrics, data window and features", "application/json"),
    "/metrics": ("Figures for Prometheus", "text/plain"),
}


class ProblemBody(BaseModel):
    """An error (RFC 9457): `code` is a stable word to program against, `detail` says what to do."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str


@lru_cache(1)
def document() -> dict[str, Any]:
    """Return the document; it depends on nothing but the code."""
    requests = [(route.request, "validation") for route in ROUTES]
    responses = [(route.response, "serialization") for route in ROUTES]
    _, schemas = models_json_schema(
        [*requests, *responses, (ProblemBody, "serialization")],  # type: ignore[list-item]  # words of a Literal
        ref_template=_PLACE,
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Purchase Intent",
            "version": "1",
            "description": "Calibrated probabilities that a customer buys. All times are ISO 8601 with a zone.",
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"key": []}],
        "paths": {route.path: {"post": _post(route)} for route in ROUTES}
        | {path: {"get": _get(path, *told)} for path, told in _READ.items()},
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "Where keys are configured."}
            },
        },
    }


def _post(route: Route) -> dict[str, Any]:
    name = route.path.removeprefix("/")
    body = {"schema": _reference(route.request), "example": example_of(route.request)}
    return {
        "operationId": name,
        "summary": _SAYS[route.path],
        "description": f"At most {route.body_bytes:,} bytes. Where keys are configured: scope `{route.scope}`."
        + _NEEDS.get(route.path, ""),
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            "200": {
                "description": (route.response.__doc__ or "").split("\n")[0],
                "content": {"application/json": {"schema": _reference(route.response)}},
                "links": _LINKS.get(route.path, {}),
            }
        }
        | _problems(*_PROBLEMS),
    }


def _get(path: str, says: str, media_type: str) -> dict[str, Any]:
    schema = {"type": "object"} if media_type == "application/json" else {"type": "string"}
    return {
        "operationId": path.removeprefix("/"),
        "summary": says,
        "responses": {"200": {"description": says, "content": {media_type: {"schema": schema}}}}
        | _problems(401, 403, 429, 431, 503),
    }


def _problems(*statuses: int) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": _reference(ProblemBody)}}
    return {str(status): {"description": _PROBLEMS[status], "content": content} for status in statuses}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _PLACE.format(model=model.__name__)}
