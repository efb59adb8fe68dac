"""Requests and responses of the service: units, ranges, examples. Unknown fields are refused."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

__all__ = ["MemberShare", "Reason", "RequestContext", "ScoreRequest", "ScoreResponse", "ViewAge", "example_of"]

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True)


def _example(body: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": body})


def example_of(model: type[BaseModel]) -> Any:
    """Return a body of a request that can be sent as it is."""
    extra: Any = model.model_config["json_schema_extra"]
    return extra["example"]


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("control characters")
    return value


Reason = Literal["expired", "absent", "newer than at", "other schema", "corrupt", "no answer"]
"""Why a view's values are not used."""

_Word = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_printable)]


class RequestContext(BaseModel):
    """What is known of the request itself; every field is optional, null means not known."""

    model_config = _STRICT

    channel: _Word | None = Field(None, description="Where the customer is met.", examples=["web"])
    device: _Word | None = Field(None, description="What the customer uses.", examples=["mobile"])
    country: _Word | None = Field(None, description="ISO 3166 code of where the request comes from.", examples=["TW"])
    session_position: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        None, description="How many pages came before in this session.", examples=[3]
    )
    session_seconds: Annotated[float, Field(ge=0, le=1e7)] | None = Field(
        None, description="Seconds since the session began.", examples=[42.5]
    )


class ScoreRequest(BaseModel):
    """One customer to score.

    `at` is the moment at which to score, default now, at most a day in the future: features newer than it count as
    missing, and ages are measured at it. `context` is checked, and used by models trained with it.
    """

    model_config = _STRICT | _example({"user_id": "01104905", "at": "2001-02-19T00:00:00Z"})

    user_id: Annotated[
        str,
        Field(min_length=1, max_length=128, description="The shop's id of the customer.", examples=["01104905"]),
        AfterValidator(_printable),
    ]
    at: AwareDatetime | None = Field(None, description="ISO 8601 time with a zone.", examples=["2001-02-19T00:00:00Z"])
    context: RequestContext | None = None


class MemberShare(BaseModel):
    """One member of the ensemble: the probability it gives by itself, and its weight in the ensemble."""

    probability: float = Field(ge=0, le=1)
    weight: float


class ViewAge(BaseModel):
    """How old the values of a view are at `at`: stale is older than its time to live, and counts as missing."""

    status: Literal["fresh", "stale", "missing"]
    reason: Reason | None = Field(None, description="null when fresh")
    age_seconds: float | None = Field(None, ge=0, description="null when missing")


class ScoreResponse(BaseModel):
    """The calibrated probability that the customer buys within `horizon_days` after `at`, and what it rests on."""

    probability: float = Field(ge=0, le=1)
    members: dict[str, MemberShare]
    views: dict[str, ViewAge]
    cold_start: bool = Field(description="Nothing is known of this customer at `at`.")
    degraded: bool = Field(
        description="The feature store did not answer, or a view is stale or unreadable: a better answer exists."
    )
    model: str = Field(description="Tag of the model; equal tags mean equal bytes.", examples=["purchase_intent:1f2e"])
    horizon_days: int
    at: datetime
    request_id: str
