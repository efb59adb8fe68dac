"""The activity and affinity of one customer by their definitions, one event at a time: what the fast way must equal."""

import math
from collections import Counter
from itertools import pairwise

from feature_repo.events import EVENT_TYPES

SECOND, DAY = 10**6, 86_400 * 10**6
PAUSE = 30 * 60 * SECOND
HALF_LIFE_DAYS = 14
WINDOWS = {"1h": DAY // 24, "1d": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
MEASURES = ("event_share", "purchase_share", "affinity", "days_since_event", "days_since_purchase")


def share(part, whole):
    return part / whole if whole else math.nan


def expected(rows, at, item, category):
    """`rows` are (moment in µs, type, item, category, revenue), oldest first; '' or None is an unknown word."""
    rows = [row for row in rows if row[0] <= at]
    found = {}
    for name, length in WINDOWS.items():
        inside = [row for row in rows if at - length < row[0] <= at]
        found[f"event_count_{name}"] = len(inside)
        for kind in EVENT_TYPES:
            found[f"{kind}_count_{name}"] = sum(row[1] == kind for row in inside)
        paid = [row[4] for row in inside if row[1] == "purchase" and not math.isnan(row[4])]
        found[f"purchase_revenue_{name}"] = math.fsum(paid)
    session = []
    for row in reversed(rows):
        if (session[-1][0] if session else at) - row[0] >= PAUSE:
            break
        session.append(row)
    moments = [row[0] for row in reversed(session)]
    steps = [(b - a) / SECOND for a, b in pairwise(moments)]
    categories = Counter(row[3] for row in rows if row[3])
    return found | {
        "session_events": len(session),
        "session_seconds": (at - moments[0]) / SECOND if session else math.nan,
        "session_pace_seconds": sum(steps) / len(steps) if steps else math.nan,
        "seconds_since_event": (at - rows[-1][0]) / SECOND if rows else math.nan,
        "recent_events": len(rows),
        "recent_categories": len(categories),
        "top_category_share": share(max(categories.values(), default=0), len(rows)),
        **near("item", rows, 2, item, at),
        **near("category", rows, 3, category, at),
    }


def near(what, rows, column, wanted, at):
    if not wanted:
        return {f"{what}_{measure}": math.nan for measure in MEASURES}
    about = [row for row in rows if row[column] == wanted]
    bought = [row for row in about if row[1] == "purchase"]

    def weight(row):
        return 0.5 ** ((rows[-1][0] - row[0]) / DAY / HALF_LIFE_DAYS)

    return {
        f"{what}_event_share": share(len(about), len(rows)),
        f"{what}_purchase_share": share(len(bought), sum(row[1] == "purchase" for row in rows)),
        f"{what}_affinity": share(math.fsum(map(weight, about)), math.fsum(map(weight, rows))),
        f"{what}_days_since_event": (at - about[-1][0]) / DAY if about else math.nan,
        f"{what}_days_since_purchase": (at - bought[-1][0]) / DAY if bought else math.nan,
    }
