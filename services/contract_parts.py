"""What the service's requests and answers are made of: strict models, ids, moments, examples."""

from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

__all__ = [
    "STRICT",
    "At",
    "EventId",
    "ItemId",
    "ListedItemId",
    "ListedUserId",
    "RequestId",
    "Text",
    "UserId",
    "Word",
    "different_ids",
    "example",
    "example_of",
    "first_unlike_an_id",
]

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


def different_ids(values: list[str]) -> list[str]:
    """Require ids of printable characters, each once.

    Raises:
        ValueError: there is another character, or an id twice.
    """
    _printable("".join(values))
    if len(set(values)) < len(values):
        raise ValueError("an id twice")
    return values


def first_unlike_an_id(values: list[str]) -> int:
    """Return the place of the first of `values` for which `different_ids` refuses them.

    >>> first_unlike_an_id(["a", "b", "a", "c\\n"])
    2
    """
    seen: set[str] = set()
    for place, value in enumerate(values):
        if value in seen or not value.isprintable():
            return place
        seen.add(value)
    raise ValueError("There is none; expected a list that was refused.")


Word = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_printable)]
Text = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_printable)]
EventId = Annotated[str, Field(min_length=1, max_length=128, examples=["web-4711"]), AfterValidator(_printable)]

_USER = Field(min_length=1, max_length=128, description="The shop's id of the customer.", examples=["01104905"])
_ITEM = Field(min_length=1, max_length=128, description="The shop's id of the item.", examples=["4710011401128"])

UserId = Annotated[str, _USER, AfterValidator(_printable)]
ItemId = Annotated[str, _ITEM, AfterValidator(_printable)]

ListedUserId = Annotated[str, _USER]
"""An id in a list, which is looked at as a whole by `different_ids`: hundreds of calls would take longer."""
ListedItemId = Annotated[str, _ITEM]

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
        examples=["2001-03-01T00:00:00Z"],
    ),
]
