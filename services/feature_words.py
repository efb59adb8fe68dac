"""A feature and its value as a merchandiser would say it: `days since the last basket: 3`."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from services.event_words import EVENT_WORDS

__all__ = ["effect_words", "feature_words", "step_words"]

Value = float | str | None
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS = {
    "event": "events",
    "view": "views",
    "search": "searches",
    "favourite": "favourites",
    "add_to_cart": "additions to the cart",
    "remove_from_cart": "removals from the cart",
    "purchase": "purchases",
    "return": "returns",
    "impression": "impressions",
    "click": "clicks",
}
_SPANS = {"1h": "hour", "1d": "day", "7d": "7 days", "30d": "30 days"}
_BY_CODE = {
    "code of event_item": "which item it is",
    "code of event_category": "which category the item is of",
}
_SAID = EVENT_WORDS | {
    "recency_days": "days since the last basket",
    "tenure_days": "days since the first basket",
    "lifetime_baskets": "baskets ever",
    "lifetime_lines": "lines ever",
    "lifetime_quantity": "pieces ever",
    "lifetime_revenue": "spent ever",
    "lifetime_returns": "returns ever",
    "distinct_items": "different items ever",
    "distinct_categories": "different categories ever",
    "baskets_per_week": "baskets a week",
    "revenue_per_basket": "spent a basket",
    "margin_share": "margin of the revenue",
    "items_per_line": "different items a line",
    "gap_mean": "days between baskets as a rule",
    "gap_std": "days of spread between baskets",
    "gap_max": "days in the longest pause",
    "gap_last": "days before the last basket",
    "gap_second_last": "days before the last basket but one",
    "late_by_gap_ratio": "usual pauses since the last basket",
    "weekend_share": "baskets at a weekend",
    "revenue_last_basket": "spent in the last basket",
    "lines_last_basket": "lines in the last basket",
    "lines_per_basket": "lines a basket",
    "revenue_spread": "spread of the baskets' revenue",
    "categories_per_basket": "categories a basket",
    "session_events": "events in this session",
    "recent_events": "events on record",
    "recent_categories": "categories on record",
    "top_category_share": "events in the favourite category",
    "item_days_since_event": "days since the customer had to do with the item",
    "item_days_since_purchase": "days since the customer bought the item",
    "item_event_share": "the customer's events that are about the item",
    "item_purchase_share": "the customer's purchases that are of the item",
    "item_affinity": "the customer's latest events that are about the item",
    "item_events": "events about the item",
    "item_events_1d": "events about the item in the last day",
    "item_purchases": "purchases of the item on record",
    "item_carts": "times that the item went into the cart",
    "item_views": "views of the item",
    "category_days_since_event": "days since the customer had to do with the item's category",
    "category_days_since_purchase": "days since the customer bought in the item's category",
    "category_event_share": "the customer's events that are in the item's category",
    "category_purchase_share": "the customer's purchases that are in the item's category",
    "category_affinity": "the customer's latest events that are in the item's category",
    "list_price": "price of the item",
    "item_purchases_total": "purchases of the item by anybody",
    "item_buyers_total": "buyers of the item",
    "item_purchases_7d": "purchases of the item by anybody in 7 days",
    "item_purchases_30d": "purchases of the item by anybody in 30 days",
    "item_revenue_7d": "revenue with the item in 7 days",
    "age_group": "age group",
    "gender": "gender",
    "occupation": "occupation",
    "country": "country",
    "area": "area",
}
_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"baskets_(\d+)d"), lambda m: f"baskets in the last {m[1]} days"),
    (re.compile(r"revenue_(\d+)d"), lambda m: f"spent in the last {m[1]} days"),
    (re.compile(r"lines_(\d+)d"), lambda m: f"lines in the last {m[1]} days"),
    (re.compile(r"days_since_basket_(\d)"), lambda m: f"days since the basket {int(m[1]) - 1} before the last"),
    (re.compile(r"purchase_revenue_(1h|1d|7d|30d)"), lambda m: f"spent in the last {_SPANS[m[1]]}"),
    (re.compile(r"(\w+)_count_(1h|1d|7d|30d)"), lambda m: f"{_kind(m[1])} in the last {_SPANS[m[2]]}"),
)
_SHARES = ("_share", "_affinity")
_TIMES = re.compile(r"seconds_since_\w+|session_(pace_)?seconds|session_(last|longest)_pause")
_YES_OR_NO = re.compile(r"\w+_is_\w+|last_session_(bought|carted)")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_UNITS = ((86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes"))


def feature_words(name: str, value: Value) -> str:
    """Return the feature and its value as a phrase, which also says where it is not known.

    >>> feature_words("recency_days", 3.0)
    'days since the last basket: 3'
    >>> feature_words("weekend_share", 0.25)
    'baskets at a weekend: 25 %'
    >>> feature_words("baskets_28d", None)
    'baskets in the last 28 days: not known'
    >>> feature_words("seconds_since_event", 5400.0)
    'time since the last event: 90 minutes'
    >>> feature_words("code of event_item", None)
    'which item it is'
    """
    if name in _BY_CODE:
        return _BY_CODE[name]  # its value is a number that stands for a word, and says nothing
    known = (said(found) for shape, said in _PATTERNS if (found := shape.fullmatch(name)))
    label = _SAID.get(name) or next(known, name.replace("_", " "))
    return f"{label}: {'not known' if value is None else _said(name, value)}"


def step_words(kind: str, at_us: float, details: dict[str, float]) -> str:
    """Return a basket or an event of the past as a phrase: `basket of 2001-02-17 (5 lines, 310 revenue)`."""
    day = (_EPOCH + timedelta(microseconds=round(at_us))).date().isoformat()
    known = [
        f"{_shown(value)} {name.removesuffix('s') if value == 1 else name}"
        for name, value in details.items()
        if value == value
    ]
    return f"{kind} of {day}" + (f" ({', '.join(known)})" if known else "")


def effect_words(log_odds: float) -> str:
    """Return what a contribution does to the odds.

    >>> effect_words(0.693)
    'odds × 2.00'
    """
    return f"odds × {math.exp(max(-30.0, min(30.0, log_odds))):.2f}"


def _kind(name: str) -> str:
    return _KINDS.get(name, name.replace("_", " "))


def _said(name: str, value: float | str) -> str:
    if isinstance(value, str):
        return value
    if name.endswith(_SHARES):
        return f"{100 * value:.3g} %"
    if _YES_OR_NO.fullmatch(name):
        return "yes" if value else "no"
    if _TIMES.fullmatch(name):
        return _duration(value)
    return _WEEKDAYS[round(value) % 7] if name == "local_weekday" else _shown(value)


def _duration(seconds: float) -> str:
    """Say it in the largest unit of which there are two at least."""
    size, unit = next(((size, unit) for size, unit in _UNITS if abs(seconds) >= 2 * size), (1.0, "seconds"))
    return f"{_shown(seconds / size)} {unit}"


def _shown(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"
