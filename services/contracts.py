"""Requests and answers about one customer: units, ranges, examples. Unknown fields are refused."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from services.contract_parts import STRICT, At, ItemId, UserId, Word, example

__all__ = [
    "Contribution",
    "ExplainRequest",
    "ExplainResponse",
    "MemberShare",
    "Reason",
    "RequestContext",
    "ScoreRequest",
    "ScoreResponse",
    "ViewAge",
]

Reason = Literal["expired", "absent", "newer than at", "other schema", "corrupt", "no answer"]
"""Why a view's values are not used."""


class RequestContext(BaseModel):
    """What is known of the request itself; every field is optional, null means not known."""

    model_config = STRICT

    channel: Word | None = Field(default=None, description="Where the customer is met.", examples=["web"])
    device: Word | None = Field(default=None, description="What the customer uses.", examples=["mobile"])
    country: Word | None = Field(
        default=None, description="ISO 3166 code of where the request comes from.", examples=["TW"]
    )
    session_position: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        default=None, description="How many pages came before in this session.", examples=[3]
    )
    session_seconds: Annotated[float, Field(ge=0, le=1e7)] | None = Field(
        default=None, description="Seconds since the session began.", examples=[42.5]
    )


class _Asked(BaseModel):
    model_config = STRICT

    user_id: UserId
    item_id: ItemId | None = Field(
        default=None, description="The shop's id of an item: will the customer buy it? Any item unless given."
    )
    at: At = None
    context: RequestContext | None = Field(default=None, description="Checked; no model is trained on it yet.")


class ScoreRequest(_Asked):
    """One customer to score, or one customer and an item.

    `at` is the moment at which to score: features newer than it count as missing.
    """

    model_config = example({"user_id": "01104905", "at": "2001-03-01T00:00:00Z"})

    reasons: bool = Field(
        default=False, description="Whether the answer says which features moved it most; takes longer."
    )


class ExplainRequest(_Asked):
    """One customer, or one customer and an item, whose score is to be explained."""

    model_config = example({"user_id": "01104905", "at": "2001-03-01T00:00:00Z"})


class MemberShare(BaseModel):
    """One member of the ensemble: the probability it gives by itself, and its weight in the ensemble."""

    probability: float = Field(ge=0, le=1)
    weight: float


class ViewAge(BaseModel):
    """How old the values of a view are at `at`: stale is older than its time to live, and counts as missing."""

    status: Literal["fresh", "stale", "missing"]
    reason: Reason | None = Field(default=None, description="null when fresh")
    age_seconds: float | None = Field(default=None, ge=0, description="null when missing")


class Contribution(BaseModel):
    """What one thing known of the customer adds to the score, in log-odds: 0.7 doubles the odds, -0.7 halves them."""

    feature: str = Field(description="The model's name of it.", examples=["recency_days"])
    value: float | str | None = Field(description="null if it is not known", examples=[3.5])
    log_odds: float
    says: str = Field(description="The same in words.", examples=["days since the last basket: 3.5 (odds × 1.42)"])


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
    request_id: str = Field(description="To be given to /feedback with what became of it.")
    reasons: list[Contribution] | None = Field(default=None, description="The largest first; null unless asked for.")


class ExplainResponse(BaseModel):
    """Why the score is what it is: `base` + all contributions + `calibration` = `log_odds`, within 1e-4.

    `probability` is that of /score: 1 / (1 + exp(-log_odds)).
    """

    probability: float = Field(ge=0, le=1)
    log_odds: float
    base: float = Field(description="Log-odds of a customer of whom only the average is known.")
    contributions: list[Contribution] = Field(description="The largest first.")
    calibration: float = Field(description="What the correction of the members' combined probability adds.")
    methods: dict[str, Literal["tree_shap", "permutation_shapley"]] = Field(
        description="How each member was taken apart: exactly (`tree_shap`), or by leaving things out in a seeded "
        "order (`permutation_shapley`, exact where the member is additive)."
    )
    views: dict[str, ViewAge]
    cold_start: bool
    degraded: bool
    model: str
    horizon_days: int
    at: datetime
    request_id: str
