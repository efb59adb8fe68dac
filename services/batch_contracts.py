"""Requests and answers about many customers, or about one customer and many items."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, FailFast, Field

from services.contract_parts import STRICT, At, ListedItemId, ListedUserId, UserId, different_ids, example
from services.contracts import RequestContext, ViewAge

__all__ = [
    "MOST_CUSTOMERS",
    "MOST_ITEMS",
    "CustomerScore",
    "RankRequest",
    "RankResponse",
    "RankedItem",
    "ScoreBatchRequest",
    "ScoreBatchResponse",
]

MOST_CUSTOMERS = 1000
MOST_ITEMS = 500


class ScoreBatchRequest(BaseModel):
    """Up to 1,000 customers to score at the same moment."""

    model_config = STRICT | example({"user_ids": ["01104905", "00021951"], "at": "2001-03-01T00:00:00Z"})

    user_ids: Annotated[
        list[ListedUserId], Field(min_length=1, max_length=MOST_CUSTOMERS), FailFast(), AfterValidator(different_ids)
    ] = Field(description="Different ids; the answer has them in this order.", json_schema_extra={"uniqueItems": True})
    at: At = None
    context: RequestContext | None = Field(
        default=None, description="The same for all; checked, and no model is trained on it yet."
    )


class CustomerScore(BaseModel):
    """One of the customers; `members` has each member's own probability."""

    user_id: str
    probability: float = Field(ge=0, le=1)
    members: dict[str, float]
    views: dict[str, ViewAge]
    cold_start: bool
    degraded: bool
    model: str = Field(description="Tag of the model that answered: two may share the customers.")


class ScoreBatchResponse(BaseModel):
    """The scores in the order of the request. See /score for what a score is."""

    scores: list[CustomerScore]
    weights: dict[str, dict[str, float]] = Field(description="Of the members of each model, by its tag.")
    degraded: bool = Field(description="One of the scores is.")
    horizon_days: int
    at: datetime
    request_id: str


class RankRequest(BaseModel):
    """One customer, and up to 500 items to put in order."""

    model_config = STRICT | example(
        {"user_id": "01104905", "item_ids": ["4714981010038", "4719090900058"], "at": "2001-03-01T00:00:00Z"}
    )

    user_id: UserId
    item_ids: Annotated[
        list[ListedItemId], Field(min_length=1, max_length=MOST_ITEMS), FailFast(), AfterValidator(different_ids)
    ] = Field(description="Different ids.", json_schema_extra={"uniqueItems": True})
    top: Annotated[int, Field(ge=1, le=MOST_ITEMS)] | None = Field(
        default=None, description="How many of the first items to answer; all unless given.", examples=[10]
    )
    at: At = None
    context: RequestContext | None = Field(default=None, description="Checked; no model is trained on it yet.")


class RankedItem(BaseModel):
    """One item.

    The model was taught on items that the customer had to do with lately: of others it can only guess, from what is
    known of the item and of the customer, and `candidate` is false.
    """

    item_id: str
    probability: float = Field(ge=0, le=1)
    known: bool = Field(description="Whether the store knows anything of the item at `at`.")
    candidate: bool = Field(description="Whether the customer had to do with it within the model's look-back.")


class RankResponse(BaseModel):
    """The items by falling probability that the customer buys them within `horizon_days`; equal ones as they came."""

    items: list[RankedItem]
    views: dict[str, ViewAge] = Field(description="Of the customer.")
    items_degraded: int = Field(description="Of how many items a view is stale or unreadable.")
    cold_start: bool
    degraded: bool
    model: str
    horizon_days: int
    at: datetime
    request_id: str
