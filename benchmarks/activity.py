"""Windows and affinities over the last 256 events, beside NumPy by hand in the same run, as ratios.

    python -m benchmarks.activity                    # 200,000 anchors; about a minute and 5 GB
    python -m benchmarks.activity --anchors 20000

By hand means what one would write for this data: one number for customer and time, `searchsorted` for the windows'
edges, a cumulative sum for each quantity; once over whole arrays and once over blocks of 1,000 customers. Both begin
with words as numbers. Below, what the transforms cost from Arrow text on, and through Feast's on-demand views.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo import activity_views, item_views, user_views
from feature_repo.events import EVENT_TYPES
from feature_repo.transforms import activity, affinity, session
from feature_repo.transforms.event_lists import EventLists, by_block, event_lists, kind_code

LENGTH, DAY = 256, 86_400 * 10**6
T = 20_000 * DAY
WINDOWS = activity.WINDOWS | {"90d": 90 * DAY}
KINDS = ("view", "add_to_cart", "purchase")
SHARES = {"view": 0.6, "search": 0.1, "add_to_cart": 0.15, "purchase": 0.1, "return": 0.05}
CATEGORIES, ITEMS = 500, 20_000
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Shop:
    """n customers with 256 events each in the 120 days before t, words as numbers; and an item for each."""

    lists: EventLists
    at_us: np.ndarray
    item: np.ndarray
    category: np.ndarray


def make_shop(anchors: int) -> Shop:
    """Popular items and categories are a Zipf's few; a fifth of the revenues is not known."""
    random = np.random.default_rng(7)
    total = anchors * LENGTH
    revenue = random.random(total) * 100
    revenue[random.random(total) < 0.2] = np.nan
    codes = np.array([kind_code(kind) for kind in SHARES], np.int8)
    columns = {
        "event_at": T - np.sort(random.integers(0, 120 * DAY, (anchors, LENGTH)), axis=1)[:, ::-1].ravel(),
        "event_type": random.choice(codes, total, p=list(SHARES.values())),
        "event_item": (random.zipf(1.3, total) % ITEMS).astype(np.int32),
        "event_category": (random.zipf(1.3, total) % CATEGORIES).astype(np.int32),
        "event_revenue": revenue,
    }
    wanted = [(random.zipf(1.3, anchors) % many).astype(np.int32) for many in (ITEMS, CATEGORIES)]
    return Shop(EventLists(np.arange(anchors + 1) * LENGTH, columns), np.full(anchors, T), *wanted)


def ours(shop: Shop) -> Arrays:
    """The transforms: 20 windows (and five counts of all events that come with them), ten affinities."""
    return activity.window_features(shop.lists, shop.at_us, WINDOWS, KINDS) | affinity.affinity_of(
        shop.lists, shop.at_us, shop.item, shop.category
    )


def by_hand(shop: Shop) -> Arrays:
    """The same numbers, written for the occasion; sums are differences of cumulative sums over all customers."""
    at, kind, offsets = shop.lists["event_at"], shop.lists["event_type"], shop.lists.offsets
    n = len(shop.at_us)
    begin, end, lengths = offsets[:-1], offsets[1:], np.diff(offsets)
    row, base = np.arange(n), int(at.min())
    span = int(max(at.max(), shop.at_us.max())) - base + 2
    key = np.repeat(row * span, lengths) + (at - base)
    low = {
        name: np.searchsorted(key, row * span + np.maximum(shop.at_us - length - base, -1), side="right")
        for name, length in WINDOWS.items()
    }

    def cumulative(values: np.ndarray) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(values)])

    chosen = {name: kind == kind_code(name) for name in KINDS}
    bought = chosen["purchase"]
    sums = {f"{name}_count": cumulative(mask) for name, mask in chosen.items()}
    revenue = shop.lists["event_revenue"]
    sums["purchase_revenue"] = cumulative(np.where(bought & ~np.isnan(revenue), revenue, 0.0))
    found = {f"{name}_{window}": s[end] - s[low[window]] for name, s in sums.items() for window in WINDOWS}

    weights = np.exp2((np.repeat(at[end - 1], lengths) - at) / (-affinity.HALF_LIFE_DAYS * DAY))
    all_weights = np.add.reduceat(weights, begin)
    purchases = sums["purchase_count"][end] - sums["purchase_count"][begin]
    for what, wanted in (("category", shop.category), ("item", shop.item)):
        same = shop.lists[f"event_{what}"] == np.repeat(wanted, lengths)
        both = same & bought
        for name, mask in (("event", same), ("purchase", both)):
            counted = cumulative(mask)
            count = counted[end] - counted[begin]
            found[f"{what}_{name}_share"] = divide(count, lengths if name == "event" else purchases)
            newest = np.maximum.reduceat(np.where(mask, at, -1), begin)
            found[f"{what}_days_since_{name}"] = np.where(count > 0, (shop.at_us - newest) / DAY, np.nan)
        found[f"{what}_affinity"] = np.add.reduceat(np.where(same, weights, 0.0), begin) / all_weights
    return found


def divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """NaN where there is nothing to divide by."""
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def by_hand_in_blocks(shop: Shop) -> Arrays:
    """The same by hand, a thousand customers at a time: what fits into the processor's cache is faster."""
    parts = []
    for first in range(0, len(shop.at_us), 1000):
        rows = slice(first, first + 1000)
        low, high = shop.lists.offsets[first], shop.lists.offsets[min(first + 1000, len(shop.at_us))]
        columns = {name: values[low:high] for name, values in shop.lists.columns.items()}
        lists = EventLists(shop.lists.offsets[first : first + 1001] - low, columns)
        parts.append(by_hand(Shop(lists, shop.at_us[rows], shop.item[rows], shop.category[rows])))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def as_table(shop: Shop) -> pa.Table:
    """What a join through Feast gives: lists of text and numbers, and the request's own columns."""
    offsets = pa.array(shop.lists.offsets, pa.int32())
    words = {
        "event_type": pa.array(EVENT_TYPES),
        "event_item": pa.array([f"471{number:010d}" for number in range(ITEMS)]),
        "event_category": pa.array([f"{number:06d}" for number in range(CATEGORIES)]),
    }
    columns = {
        name: words[name].take(pa.array(values)) if name in words else pa.array(values)
        for name, values in shop.lists.columns.items()
    }
    lists = {name: pa.ListArray.from_arrays(offsets, values) for name, values in columns.items()}
    own = {"item_id": words["event_item"].take(pa.array(shop.item)), "request_at": pa.array(shop.at_us)}
    own["item_category"] = words["event_category"].take(pa.array(shop.category))
    return pa.table(lists | own)


def as_codes(column: pa.Array) -> pa.Array:
    """What `to_coded_arrow` gives instead of lists of text: lists of codes, each word once in their dictionary."""
    if not pa.types.is_list(column.type) or not pa.types.is_string(column.type.value_type):
        return column
    return pa.ListArray.from_arrays(column.offsets, column.values.dictionary_encode())


def best(run: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """The shortest of some runs, and what it returned."""
    seconds, result = [], None
    for _ in range(rounds):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def against_hand(anchors: int) -> None:
    """Print the first table, and stop if the contenders do not agree."""
    shop = make_shop(anchors)
    contenders = {"ours": ours, "by hand, whole arrays": by_hand, "by hand, in blocks": by_hand_in_blocks}
    seconds = dict.fromkeys(contenders, float("inf"))
    results: dict[str, Arrays] = {}
    for _ in range(3):  # in turn, so that a busy moment of the machine hits all of them
        for name, run in contenders.items():
            took, results[name] = best(lambda run=run: run(shop), 1)
            seconds[name] = min(seconds[name], took)
    for values in list(results.values())[1:]:
        for name, column in values.items():
            np.testing.assert_allclose(results["ours"][name], column, rtol=1e-6, atol=1e-4, err_msg=name)
    print(f"{anchors:,} anchors x last {LENGTH} events, 20 windows and 10 affinities (all agree)")
    for name, took in seconds.items():
        ratio = "" if name == "ours" else f"   ours / it: {seconds['ours'] / took:5.2f}"
        print(f"  {name:24} {took:7.2f} s{ratio}")


def groups(anchors: int) -> None:
    """Print what each group of features costs, and the whole way from text, in bulk and on demand."""
    shop = make_shop(anchors)
    lists, at = shop.lists, shop.at_us
    table = as_table(shop)
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    coded = {name: as_codes(column) for name, column in columns.items()}
    events = user_views.user_events("nowhere")
    views = (
        activity_views.user_activity(events),
        activity_views.user_item_affinity(events, item_views.item_catalogue("nowhere")),
    )
    affinity_table = table.drop_columns(["event_revenue"])
    activity_table = table.drop_columns(["event_item", "item_id", "item_category"])
    plans: dict[str, Callable[[], Any]] = {
        "20 windows": lambda: activity.window_features(lists, at, WINDOWS, KINDS),
        "running session": lambda: by_block(
            lists, lambda block, rows: {"events": session.running_session(block, at[rows]).events}
        ),
        "categories": lambda: by_block(
            lists, lambda block, _: {"many": affinity.recent_categories(affinity.category_runs(block))}
        ),
        "10 affinities": lambda: affinity.affinity_of(lists, at, shop.item, shop.category),
        "text to numbers, activity": lambda: event_lists(columns, at, activity.ACTIVITY_FIELDS, {}),
        "codes to numbers, activity": lambda: event_lists(coded, at, activity.ACTIVITY_FIELDS, {}),
        "user_activity in bulk": lambda: activity.activity_features(columns, at),
        "user_activity from codes": lambda: activity.activity_features(coded, at),
        "user_activity on demand": lambda: views[0].transform_arrow(activity_table),
        "user_item_affinity in bulk": lambda: affinity.affinity_features(columns, at),
        "user_item_affinity from codes": lambda: affinity.affinity_features(coded, at),
        "user_item_affinity on demand": lambda: views[1].transform_arrow(affinity_table),
    }
    print(f"\n{anchors:,} anchors x last {LENGTH} events")
    for name, run in plans.items():
        print(f"  {name:30} {best(run, 5)[0]:7.3f} s")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anchors", type=int, default=200_000)
    arguments = parser.parse_args()
    against_hand(arguments.anchors)
    groups(min(20_000, arguments.anchors))


if __name__ == "__main__":
    main()
