"""The running session against those before it, by a plain loop over the same events."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings

from feature_repo.transforms.feature_sets import customer_event_features, customer_item_features
from feature_repo.transforms.past_sessions import PAST_SESSION_NAMES
from tests.oracle.test_event_history_oracle import PAUSE, ROWS, SECOND, columns_of

FIELDS = ("event_at", "event_type", "event_item", "event_category")
DAY = 86_400 * SECOND


def plain(events, t):
    sessions = []
    for event in events:
        if not sessions or event[0] - sessions[-1][-1][0] >= PAUSE:
            sessions.append([])
        sessions[-1].append(event)
    running = bool(events) and t - events[-1][0] < PAUSE
    earlier, now = (sessions[:-1], sessions[-1]) if running else (sessions, [])
    before = [event for session in earlier for event in session]
    kinds = [{event[1] for event in session} for session in earlier]
    days = len({event[0] // DAY for event in events})
    buying = sum("purchase" in one for one in kinds)
    found = {
        "earlier_buying_sessions": buying,
        "earlier_buying_session_share": buying / len(earlier) if earlier else np.nan,
        "earlier_cart_session_share": sum("add_to_cart" in k for k in kinds) / len(earlier) if earlier else np.nan,
        "last_session_bought": float("purchase" in kinds[-1]) if earlier else np.nan,
        "last_session_carted": float("add_to_cart" in kinds[-1]) if earlier else np.nan,
        "last_session_events": len(earlier[-1]) if earlier else np.nan,
        "active_days": days,
        "events_per_active_day": len(events) / days if days else np.nan,
        "sessions_per_active_day": len(sessions) / days if days else np.nan,
        "session_categories_seen_before": len(({e[3] for e in now} & {e[3] for e in before}) - {""}),
        "session_item_repeats": len(now) - len({e[2] for e in now} - {""}),
        "session_item_switches": sum(a[2] != b[2] for a, b in itertools.pairwise(now)),
        "session_category_switches": sum(a[3] != b[3] for a, b in itertools.pairwise(now)),
        "session_longest_pause": max(((b[0] - a[0]) / SECOND for a, b in itertools.pairwise(now)), default=np.nan),
    }
    for things, one, place in (("items", "item", 2), ("categories", "category", 3)):
        these = {e[place] for e in now} - {""}
        found[f"session_top_{one}_events"] = max((sum(e[place] == x for e in now) for x in these), default=0)
        for done, kind in (("carted", "add_to_cart"), ("bought", "purchase"), ("favoured", "favourite")):
            back = these & {e[place] for e in before if e[1] == kind}
            found[f"session_{things}_{done}_before"] = len(back)
    return found


@given(ROWS)
@settings(max_examples=150, deadline=None)
def test_past_sessions_are_those_of_a_plain_loop(rows) -> None:
    columns, at_us = columns_of(rows)
    found = customer_event_features(columns, at_us).numeric
    for row, (low, high) in enumerate(itertools.pairwise(columns["event_at"].offsets.tolist())):
        events = list(zip(*(columns[field].values[low:high].tolist() for field in FIELDS), strict=True))
        expected = plain(events, int(at_us[row]))
        assert set(expected) == set(PAST_SESSION_NAMES)
        assert {name: found[name][row] for name in expected} == pytest.approx(expected, nan_ok=True)


def test_questions_about_an_item_do_without_them() -> None:
    columns, at_us = columns_of([([(0, "view", "a", "x")], 0)])
    keyed = columns | {"item_id": np.array(["a"], object), "item_category": np.array(["x"], object)}
    assert not set(PAST_SESSION_NAMES) & set(customer_item_features(keyed, at_us).numeric)
