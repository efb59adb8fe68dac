"""What each feature service's columns become: the features of a model, by one function for both sides.

A service without an entry here is one of customers, as `purchase_within_horizon` is.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import BASKETS_KEPT, EVENTS_KEPT
from feature_repo.transforms.activity import activity_of
from feature_repo.transforms.affinity import affinity_features, matches
from feature_repo.transforms.calendar import Calendar, calendar_features
from feature_repo.transforms.customer import SEQUENCE_CHANNELS, CustomerFeatures, customer_features
from feature_repo.transforms.event_history import HISTORY_FIELDS, earlier_features, history_features
from feature_repo.transforms.event_lists import EventLists, event_lists
from feature_repo.transforms.event_sequence import EVENT_CHANNELS, candidate_codes, event_codes, event_sequence
from feature_repo.transforms.item_counts import item_counts
from feature_repo.transforms.past_sessions import past_session_features
from feature_repo.transforms.situation import situation_features

__all__ = [
    "EVENT_FIELDS",
    "OF_CUSTOMER",
    "WITHOUT_STEPS",
    "CustomerPart",
    "FeatureFunction",
    "customer_event_features",
    "customer_item_features",
    "earlier_of_lists",
    "feature_function",
    "features_of_lists",
    "item_numbers",
    "item_ranking_features",
    "steps_kept",
    "table_features",
]

Columns = Mapping[str, Any]
FeatureFunction = Callable[[Columns, NDArray[np.int64]], CustomerFeatures]
CustomerPart = Callable[[Columns, EventLists, NDArray[np.int64], Calendar | None, bool], CustomerFeatures]

WITHOUT_STEPS = (*HISTORY_FIELDS, "event_revenue")
"""The fields of `user_events` that features take where no sequence is wanted."""
EVENT_FIELDS = (*WITHOUT_STEPS, "event_price")
_ITEM_NUMBERS = (
    "list_price",
    "item_purchases_total",
    "item_buyers_total",
    "item_purchases_7d",
    "item_purchases_30d",
    "item_revenue_7d",
)


def feature_function(service: str, calendar: Calendar) -> FeatureFunction:
    """Return the function that turns the columns of `service` at t into features."""
    if service == "session_table":
        return table_features
    functions = {
        "customer_events": customer_event_features,
        "customer_item_events": customer_item_features,
        "item_ranking": item_ranking_features,
    }
    if service not in functions:
        return customer_features
    return partial(functions[service], calendar=calendar)  # unlike a lambda it can be sent to another process


def steps_kept(sequences: Iterable[str]) -> int | None:
    """Return how many steps the view of these channels keeps of a customer; None for channels of no view.

    >>> steps_kept(["basket_lines"])
    50
    """
    names = set(sequences)
    kept = {BASKETS_KEPT: SEQUENCE_CHANNELS, EVENTS_KEPT: EVENT_CHANNELS}
    return next((steps for steps, channels in kept.items() if names and names <= set(channels)), None)


def customer_event_features(
    columns: Columns, at_us: NDArray[np.int64], calendar: Calendar | None = None
) -> CustomerFeatures:
    """Compute the features of n customers from their profile, history, baskets, and last events of all types.

    Args:
        columns: as `customer_features` takes them, and the lists of `user_events` as `Ragged`.
        at_us: t for each row, int64 microseconds since 1970, shape (n,).
        calendar: of the shop; UTC without holidays unless given.

    Raises:
        FeatureError: the lists are missing, of different lengths, or not ordered by time.
    """
    lists, _ = event_lists(columns, at_us, EVENT_FIELDS, {})
    found = features_of_lists(columns, lists, at_us, calendar)
    return replace(found, numeric=found.numeric | past_session_features(lists, at_us))


def features_of_lists(
    columns: Columns,
    lists: EventLists,
    at_us: NDArray[np.int64],
    calendar: Calendar | None = None,
    steps: bool = True,
) -> CustomerFeatures:
    """Compute what pairs with an item have of the customer, with the lists of `columns` as `event_lists` codes them.

    Without `steps` there are no sequences: for models that take none.
    """
    known, words = situation_features(columns)
    base = customer_features(columns, at_us)
    numeric = (
        base.numeric
        | activity_of(lists, at_us)
        | history_features(lists, at_us)
        | calendar_features(at_us, calendar or Calendar())
        | known
    )
    found = CustomerFeatures(numeric, base.categorical | words, {}, base.n)
    return _with_steps(found, columns, lists, at_us) if steps else found


def earlier_of_lists(
    columns: Columns,
    lists: EventLists,
    at_us: NDArray[np.int64],
    calendar: Calendar | None = None,
    steps: bool = True,
) -> CustomerFeatures:
    """Compute what a ranking has of the customer: little, for it is the same for all items."""
    found = CustomerFeatures(earlier_features(lists, at_us), {}, {}, len(at_us))
    return _with_steps(found, columns, lists, at_us) if steps else found


OF_CUSTOMER: Mapping[str, CustomerPart] = {"customer_item_events": features_of_lists, "item_ranking": earlier_of_lists}
"""Feature services of pairs of a customer and an item → what of a pair is the customer's alone."""


def customer_item_features(
    columns: Columns, at_us: NDArray[np.int64], calendar: Calendar | None = None
) -> CustomerFeatures:
    """Compute the features of n pairs of a customer and an item.

    Args:
        columns: as `customer_event_features` takes them, `item_id`, and the columns of `item_catalogue` and
            `item_demand`.
        at_us: t for each row, int64 microseconds since 1970, shape (n,).
        calendar: of the shop.
    """
    return _pairs(columns, at_us, features_of_lists, calendar)


def item_ranking_features(
    columns: Columns, at_us: NDArray[np.int64], calendar: Calendar | None = None
) -> CustomerFeatures:
    """Compute the features of n pairs as a ranking has them: the same, less what takes a customer's other views.

    Args:
        columns: the lists of `user_events` as `Ragged`, `item_id`, and the columns of `item_catalogue` and
            `item_demand`.
        at_us: t for each row, int64 microseconds since 1970, shape (n,).
        calendar: of the shop; no feature of these takes it.
    """
    return _pairs(columns, at_us, earlier_of_lists, calendar)


def _pairs(
    columns: Columns, at_us: NDArray[np.int64], of_customer: CustomerPart, calendar: Calendar | None
) -> CustomerFeatures:
    every, _ = event_lists(columns, at_us, EVENT_FIELDS, {})
    base = of_customer(columns, every, at_us, calendar, True)
    n = base.n
    item = item_numbers(columns)
    category = columns.get("item_category", np.full(n, None, object))
    keyed = {**columns, "item_category": category}
    lists, wanted = event_lists(keyed, at_us, HISTORY_FIELDS, {"event_item": "item_id"})
    numeric = (
        base.numeric
        | item
        | affinity_features(keyed, at_us)
        | item_counts(lists, at_us, matches(lists["event_item"], lists.offsets, wanted["event_item"]))
    )
    candidate = candidate_codes(np.asarray(columns["item_id"], object), np.asarray(category, object))
    return CustomerFeatures(numeric, base.categorical, base.sequences, n, base.codes, candidate)


def _with_steps(
    found: CustomerFeatures, columns: Columns, lists: EventLists, at_us: NDArray[np.int64]
) -> CustomerFeatures:
    keep = columns["event_at"].values <= np.repeat(at_us, columns["event_at"].lengths)
    codes = event_codes(columns, lists, keep)
    return replace(found, sequences=event_sequence(lists, at_us), codes=codes)


def item_numbers(columns: Columns) -> dict[str, NDArray[np.float64]]:
    """Take what is known of n items by itself: price and demand, float64 of shape (n,), NaN where it is not known."""
    return {name: np.asarray(columns[name], np.float64) for name in _ITEM_NUMBERS if name in columns}


def table_features(columns: Columns, at_us: NDArray[np.int64]) -> CustomerFeatures:
    """Take n rows of a benchmark table as they are: numbers as numbers, text as words; there is no sequence.

    `user_id`, which only numbers the rows, is no feature.
    """
    numeric = {name: np.asarray(column, np.float64) for name, column in columns.items() if column.dtype != object}
    words = {name: column for name, column in columns.items() if column.dtype == object and name != "user_id"}
    return CustomerFeatures(numeric, words, {}, len(at_us))
