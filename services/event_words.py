"""What the features of a customer's last events, of the moment and of the place are called in words.

"This session" is the one that runs at t; "before this session" is the rest of the events that are on record.
"""

__all__ = ["EVENT_WORDS"]

_SESSION = {
    "views": "views",
    "favourites": "favourites",
    "carts": "additions to the cart",
    "purchases": "purchases",
    "items": "different items",
    "categories": "different categories",
    "items_in_cart": "items put into the cart, and still there,",
    "items_seen_before": "items that had been looked at before,",
    "items_carted_before": "items that had been in the cart before,",
    "items_bought_before": "items that had been bought before,",
    "items_favoured_before": "items that were favourites before,",
    "categories_seen_before": "categories that had been looked at before,",
    "categories_carted_before": "categories of earlier carts",
    "categories_bought_before": "categories of earlier purchases",
    "categories_favoured_before": "categories of earlier favourites",
    "top_item_events": "events about the one item most looked at",
    "top_category_events": "events in the one category most looked at",
    "item_switches": "changes from one item to another",
    "category_switches": "changes from one category to another",
    "item_repeats": "returns to an item",
    "cart_share": "events that put something into the cart",
    "favourite_share": "events that made a favourite",
    "purchase_share": "events that are purchases",
    "top_item_share": "events about the one item most looked at",
    "top_category_share": "events in the one category most looked at",
    "longest_pause": "longest pause",
    "last_pause": "pause before the last event",
}
_BEFORE = {
    "views": "views",
    "favourites": "favourites",
    "carts": "additions to the cart",
    "purchases": "purchases",
    "sessions": "sessions",
    "events_per_session": "events a session",
    "purchase_share": "events that are purchases",
    "cart_share": "events that put something into the cart",
    "purchases_per_cart": "purchases an addition to the cart",
    "items_per_event": "different items an event",
    "buying_sessions": "sessions with a purchase",
    "buying_session_share": "sessions with a purchase",
    "cart_session_share": "sessions with something put into the cart",
}
_OTHERS = {
    "items_in_cart": "items in the cart",
    "item_favourites": "times that the item was made a favourite",
    "last_category_carts": "additions to the cart in the category of the last event",
    "last_category_events": "events in the category of the last event",
    "last_category_purchases": "purchases in the category of the last event",
    "last_item_carts": "times that the item of the last event went into the cart",
    "last_item_events": "events about the item of the last event",
    "last_item_purchases": "purchases of the item of the last event",
    "last_is_add_to_cart": "the last event put something into the cart",
    "last_is_favourite": "the last event made a favourite",
    "last_is_purchase": "the last event is a purchase",
    "last_is_view": "the last event is a view",
    "last_session_bought": "a purchase in the session before this one",
    "last_session_carted": "something put into the cart in the session before this one",
    "last_session_events": "events in the session before this one",
    "active_days": "days with an event",
    "events_per_active_day": "events a day with any",
    "sessions_per_active_day": "sessions a day with any",
    "seconds_since_event": "time since the last event",
    "seconds_since_session": "time since the session before this one",
    "seconds_since_last_cart": "time since something was last put into the cart",
    "seconds_since_last_favourite": "time since the last favourite",
    "seconds_since_last_purchase": "time since the last purchase",
    "session_seconds": "time into this session",
    "session_pace_seconds": "time between the events of this session",
    "local_hour": "hour of the day",
    "local_hour_sin": "time of day (sine of the hour)",
    "local_hour_cos": "time of day (cosine of the hour)",
    "local_weekday": "weekday",
    "local_is_weekend": "weekend",
    "season_sin": "season (sine of the day of the year)",
    "season_cos": "season (cosine of the day of the year)",
    "days_to_holiday": "days to the next holiday",
    "days_since_holiday": "days since the last holiday",
    "area_is_usual": "the request comes from the customer's own area",
    "country_is_usual": "the request comes from the customer's own country",
    "request_area": "area of the request",
    "request_channel": "channel of the request",
    "request_country": "country of the request",
    "request_device": "device of the request",
}
EVENT_WORDS = (
    {f"session_{name}": f"{words} in this session" for name, words in _SESSION.items()}
    | {f"earlier_{name}": f"{words} before this session" for name, words in _BEFORE.items()}
    | _OTHERS
)
"""Name of a feature → what it is called."""
