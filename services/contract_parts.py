"""What the service's requests and answers are made of: strict models, ids, moments, examples."""

from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

__all__ = ["STRICT", "At", "EventId", "ItemId", "RequestId", "Text", "UserId", "Word", "example", "example_of"]

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True)
"""Of a request: unknown fields, other types, NaN and infinities are refused, and no error repeats a value."""


def example(body: dict[str, Any]) -> ConfigDict:
    """Return the part of a request's configuration that shows a body which can be sent as it is."""
    return ConfigDict(json_schema_extra={"example": body})


def example_of(model: type[BaseModel]) -> Any:
    """Return a body of a request that can be sent as it is."""
    extra: Any = model.model_config["json_schema_extra"]
    return extra["example"]


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("control characters")
    return value


Word = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_printable)]
Text = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_printable)]
EventId = Annotated[str, Field(min_length=1, max_length=128, examples=["web-4711"]), AfterValidator(_printable)]

UserId = Annotated[
    str,
    Field(min_length=1, max_length=128, description="The shop's id of the customer.", examples=["01104905"]),
    AfterValidator(_printable),
]

ItemId = Annotated[
    str,
    Field(min_length=1, max_length=128, description="The shop's id of the item.", examples=["4710011401128"]),
    AfterValidator(_printable),
]

RequestId = Annotated[
    str,
    Field(
        pattern="^[0-9a-f]{32}$",
        description="`request_id` of the answer.",
        examples=["0f8fad5bd9cb469fa16570867728950e"],
    ),
]

At = Annotated[
    AwareDatetime | None,
    Field(
        description="ISO 8601 time with a zone, at most a day ahead; now unless given. Ages are measured at it.",
        examples=["2001-02-19T00:00:00Z"],
    ),
]
