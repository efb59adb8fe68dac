"""History, calendar and codes of events against plain Python, row by row."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.events import EVENT_TYPES
from feature_repo.transforms.calendar import Calendar, calendar_features
from feature_repo.transforms.event_history import HISTORY_FIELDS, earlier_features, history_features
from feature_repo.transforms.event_lists import event_lists
from feature_repo.transforms.feature_sets import customer_event_features, customer_item_features
from feature_repo.transforms.ragged import Ragged

SECOND = 1_000_000
CODE_OF_A = 3279
PAUSE = 1800 * SECOND
KINDS = {"views": "view", "favourites": "favourite", "carts": "add_to_cart", "purchases": "purchase"}
EVENT = st.tuples(
    st.sampled_from([0, 5, 60, 1799, 1800, 7200, 90_000]),
    st.sampled_from([*KINDS.values(), "remove_from_cart", "search"]),
    st.sampled_from(["", "a", "b", "c"]),
    st.sampled_from(["", "x", "y"]),
)
ROWS = st.lists(
    st.tuples(st.lists(EVENT, max_size=12), st.sampled_from([0, 100, 1799, 1800, 10**6])), min_size=1, max_size=6
)


def columns_of(rows):
    """The lists of `user_events` and t of each row: the last event, and some seconds more."""
    at, kind, item, category, offsets, ends = [], [], [], [], [0], []
    for events, later in rows:
        moment = 1_600_000_000 * SECOND
        for gap, *words in events:
            moment += gap * SECOND
            at.append(moment)
            for column, word in zip((kind, item, category), words, strict=True):
                column.append(word)
        offsets.append(len(at))
        ends.append(moment + later * SECOND)
    cut = np.array(offsets, np.int64)
    columns = {
        "event_at": Ragged(np.array(at, np.int64), cut),
        "event_type": Ragged(np.array(kind, object), cut),
        "event_item": Ragged(np.array(item, object), cut),
        "event_category": Ragged(np.array(category, object), cut),
        "event_revenue": Ragged(np.full(len(at), np.nan), cut),
        "event_price": Ragged(np.arange(float(len(at))) - np.repeat(cut[:-1], np.diff(cut)), cut),
    }
    return columns, np.array(ends, np.int64)


def plain(events: list[tuple[int, str, str, str]], t: int) -> dict[str, float]:
    """The same features, the slow way."""
    sessions: list[list[tuple[int, str, str, str]]] = []
    for event in events:
        if not sessions or event[0] - sessions[-1][-1][0] >= PAUSE:
            sessions.append([])
        sessions[-1].append(event)
    running = bool(events) and t - events[-1][0] < PAUSE
    now = sessions[-1] if running else []
    before = [event for session in (sessions[:-1] if running else sessions) for event in session]
    found = {f"session_{name}": sum(e[1] == kind for e in now) for name, kind in KINDS.items()}
    found |= {f"earlier_{name}": sum(e[1] == kind for e in before) for name, kind in KINDS.items()}
    found["session_items"] = len({e[2] for e in now} - {""})
    found["session_categories"] = len({e[3] for e in now} - {""})
    found["session_items_seen_before"] = len(({e[2] for e in now} & {e[2] for e in before}) - {""})
    found["earlier_sessions"] = len(sessions) - running
    counts = [sum(e[2] == item for e in now) for item in {e[2] for e in now} - {""}]
    found["session_top_item_share"] = max(counts, default=0) / len(now) if now else np.nan
    found["session_cart_share"] = found["session_carts"] / len(now) if now else np.nan
    found["session_last_pause"] = (now[-1][0] - now[-2][0]) / SECOND if len(now) > 1 else np.nan
    found["seconds_since_session"] = (t - before[-1][0]) / SECOND if before else np.nan
    bought = [e[0] for e in events if e[1] == "purchase"]
    found["seconds_since_last_purchase"] = (t - bought[-1]) / SECOND if bought else np.nan
    last = events[-1] if events else (0, "", "", "")
    found["last_is_add_to_cart"] = float(last[1] == "add_to_cart")
    found["last_item_events"] = sum(e[2] == last[2] for e in events) if last[2] else 0
    cart: dict[str, int] = {}
    for place, (_, kind, item, _) in enumerate(events):
        if item and kind == "add_to_cart":
            cart[item] = place
        elif item and kind in ("purchase", "remove_from_cart"):
            cart.pop(item, None)
    found["items_in_cart"] = len(cart)
    found["session_items_in_cart"] = sum(place >= len(before) for place in cart.values()) if running else 0
    return found


@given(ROWS)
@settings(max_examples=150, deadline=None)
def test_history_of_events_is_that_of_plain_python(rows) -> None:
    columns, at_us = columns_of(rows)
    found = customer_event_features(columns, at_us).numeric
    for row, lists in enumerate(zip(columns["event_at"].offsets[:-1], columns["event_at"].offsets[1:], strict=True)):
        fields = ("event_at", "event_type", "event_item", "event_category")
        events = list(zip(*(columns[field].values[slice(*lists)].tolist() for field in fields), strict=True))
        expected = plain(events, int(at_us[row]))
        assert {name: found[name][row] for name in expected} == pytest.approx(expected, nan_ok=True)


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_events_after_t_change_nothing_and_a_row_alone_is_the_same(rows) -> None:
    columns, at_us = columns_of(rows)
    whole = customer_event_features(columns, at_us)
    later = columns_of([([*events, (later + 1, "purchase", "a", "x")], 0) for events, later in rows])[0]
    ahead = customer_event_features(later, at_us)
    for name, values in whole.numeric.items():
        np.testing.assert_array_equal(ahead.numeric[name], values, err_msg=name)
    for name, lists in [*whole.sequences.items(), *whole.codes.items()]:
        other = (ahead.sequences | ahead.codes)[name]
        np.testing.assert_array_equal(other.values, lists.values)
        np.testing.assert_array_equal(other.offsets, lists.offsets)
    alone = customer_event_features({n: c.take(np.array([0])) for n, c in columns.items()}, at_us[:1])
    for name, values in whole.numeric.items():
        np.testing.assert_array_equal(alone.numeric[name], values[:1], err_msg=name)


@given(ROWS)
@settings(max_examples=40, deadline=None)
def test_what_a_ranking_takes_of_it_is_the_same(rows) -> None:
    columns, at_us = columns_of(rows)
    lists, _ = event_lists(columns, at_us, HISTORY_FIELDS, {})
    whole, part = history_features(lists, at_us), earlier_features(lists, at_us)
    assert part.keys() == {name for name in whole if name.startswith(("earlier_", "seconds_since_"))}
    for name, values in part.items():
        np.testing.assert_array_equal(values, whole[name], err_msg=name)


@given(ROWS, st.sampled_from(["a", "b", "z"]))
@settings(max_examples=60, deadline=None)
def test_what_was_done_with_an_item_is_counted(rows, item) -> None:
    columns, at_us = columns_of(rows)
    n = len(at_us)
    keyed = columns | {"item_id": np.full(n, item, object), "item_category": np.full(n, "x", object)}
    found = customer_item_features(keyed, at_us).numeric
    items, kinds = columns["event_item"], columns["event_type"]
    for row in range(n):
        span = slice(items.offsets[row], items.offsets[row + 1])
        same = [kind for kind, one in zip(kinds.values[span], items.values[span], strict=True) if one == item]
        counts = {"item_events": len(same), "item_carts": same.count("add_to_cart"), "item_views": same.count("view")}
        assert {name: found[name][row] for name in counts} == counts


@given(
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
    st.lists(st.datetimes(datetime(2005, 1, 1), datetime(2030, 1, 1)), min_size=1, max_size=20),
)
@settings(deadline=None)
def test_the_calendar_reads_the_local_clock(zone: str, moments: list[datetime]) -> None:
    holidays = ("2010-12-25", "2015-06-01")
    aware = [moment.replace(tzinfo=UTC) for moment in moments]
    at_us = np.array([round((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) for at in aware])
    found = calendar_features(at_us, Calendar(zone, holidays))
    days = [date.fromisoformat(day) for day in holidays]
    for row, at in enumerate(moment.astimezone(ZoneInfo(zone)) for moment in aware):
        assert found["local_hour"][row] == at.hour
        assert found["local_weekday"][row] == at.weekday()
        ahead = [(day - at.date()).days for day in days if day >= at.date()]
        behind = [(at.date() - day).days for day in days if day <= at.date()]
        assert found["days_to_holiday"][row] == min([60, *ahead])
        assert found["days_since_holiday"][row] == min([60, *behind])
    assert "season_sin" not in found
    assert "days_to_holiday" not in calendar_features(at_us, Calendar(zone))


def test_codes_are_the_same_everywhere() -> None:
    columns, at_us = columns_of([([(0, "view", "a", "x"), (5, "purchase", "", "y")], 0)])
    codes = customer_event_features(columns, at_us).codes
    assert codes["event_item"].values.tolist() == [CODE_OF_A, 0]
    assert set(codes) == {"event_type", "event_item", "event_category"}
    assert len(EVENT_TYPES) < 16


def test_request_words_count_only_where_they_are_told() -> None:
    columns, at_us = columns_of([([(0, "view", "a", "x")], 0)] * 3)
    assert "country_is_usual" not in customer_event_features(columns, at_us).numeric
    told = columns | {
        "country": np.array(["FR", "FR", None], object),
        "request_country": np.array(["FR", "DE", "DE"], object),
        "request_device": np.array(["phone", None, "desk"], object),
    }
    found = customer_event_features(told, at_us)
    np.testing.assert_array_equal(found.numeric["country_is_usual"], [1.0, 0.0, np.nan])
    assert found.categorical["request_device"].tolist() == ["phone", None, "desk"]
