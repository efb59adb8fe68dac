"""What a shop tells the service: events as they happen, and what became of an answer."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, FailFast, Field

from services.contract_parts import STRICT, EventId, ItemId, RequestId, Text, UserId, Word, example

__all__ = [
    "EventBody",
    "EventKind",
    "EventReceipt",
    "EventsRequest",
    "EventsResponse",
    "FeedbackRequest",
    "FeedbackResponse",
    "Outcome",
    "plain_event",
]

EventKind = Literal[
    "view", "search", "favourite", "add_to_cart", "remove_from_cart", "purchase", "return", "impression", "click"
]
_Amount = Annotated[float, Field(ge=-1e12, le=1e12)]


class EventBody(BaseModel):
    """One event; `event_id` is the shop's own, and a second event with the same one changes nothing."""

    model_config = STRICT

    event_id: EventId
    user_id: UserId
    event_type: EventKind
    event_timestamp: AwareDatetime = Field(description="When it happened.", examples=["2024-05-01T09:30:00Z"])
    item_id: ItemId | None = None
    session_id: Word | None = None
    quantity: _Amount | None = Field(default=None, description="Pieces; below 0 only in a return.")
    revenue: _Amount | None = Field(default=None, description="What the customer paid, in `currency`.")
    cost: _Amount | None = Field(default=None, description="What it cost the shop, in `currency`.")
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = Field(default=None, description="ISO 4217.")
    category: Text | None = None
    list_price: _Amount | None = Field(default=None, description="What one piece of the item was offered for then.")


class EventsRequest(BaseModel):
    """Up to 500 events of any customers, in any order."""

    model_config = STRICT | example(
        {
            "events": [
                {
                    "event_id": "web-4711",
                    "user_id": "new-customer",
                    "event_type": "add_to_cart",
                    "event_timestamp": "2024-05-01T09:30:00Z",
                    "item_id": "4714981010038",
                }
            ]
        }
    )

    events: Annotated[list[EventBody], Field(min_length=1, max_length=500), FailFast()]


class EventReceipt(BaseModel):
    """What became of one event: `accepted`, `repeated` (its id was there before), or `quarantined` and why."""

    event_id: str
    status: Literal["accepted", "repeated", "quarantined"]
    seq: int | None = Field(description="Its number in the outbox; null in quarantine.")
    reason: str | None = None


class EventsResponse(BaseModel):
    """One receipt an event, in their order. What has a receipt is durable.

    `online` is true if whatever reads customers' events sees them from the next request on: /rank, /score with an item,
    and /score of a model whose features are of events; features that change once a day follow with the next
    materialisation. false means that the events are kept and will be seen later.
    """

    receipts: list[EventReceipt]
    online: bool
    request_id: str


class Outcome(BaseModel):
    """What became of one answer: whether what was asked about was bought within the horizon."""

    model_config = STRICT

    request_id: RequestId
    user_id: UserId | None = Field(default=None, description="Which customer of a batch; not needed after /score.")
    item_id: ItemId | None = Field(default=None, description="Which item of a ranking.")
    bought: bool
    at: AwareDatetime | None = Field(default=None, description="When it was bought, or when the horizon ended.")


class FeedbackRequest(BaseModel):
    """Up to 1,000 outcomes. The same outcome twice counts once; the last one about an answer counts."""

    model_config = STRICT | example(
        {"outcomes": [{"request_id": "0f8fad5bd9cb469fa16570867728950e", "bought": True, "at": "2001-02-21T12:00:00Z"}]}
    )

    outcomes: Annotated[list[Outcome], Field(min_length=1, max_length=1000), FailFast()]


class FeedbackResponse(BaseModel):
    """How many outcomes are on the disk."""

    accepted: int
    request_id: str


def plain_event(event: EventBody) -> dict[str, Any]:
    """Return the event by the names of `feature_repo.events.EVENT_SCHEMA`."""
    return event.model_dump(exclude_none=True)
