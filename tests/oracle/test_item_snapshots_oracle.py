"""What the log says of items, beside the definition written out: one item after the other, one day after the other."""

from datetime import UTC, datetime, timedelta
from itertools import groupby

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.sources import log_of, settings_of, write_rows
from training.adapters import ingest

FIRST = datetime(2024, 5, 1, tzinfo=UTC)
ITEMS = ("a", "b", "c")
COLUMNS = {
    "user_id": "who", "event_timestamp": "when", "event_type": "kind", "item_id": "sku", "category": "group",
    "quantity": "pieces", "revenue": "total", "cost": "paid",
}  # fmt: skip
PRICES = ("list_price", "unit_cost")

amounts = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 3.0, 7.5, 0.1]))
lines = st.fixed_dictionaries(
    {
        "who": st.sampled_from(["1", "2"]),
        "when": st.integers(0, 7 * 24).map(lambda hour: FIRST + timedelta(hours=hour)),
        "kind": st.sampled_from(["purchase", "purchase", "purchase", "view", "return"]),
        "sku": st.one_of(st.none(), st.sampled_from(ITEMS)),
        "group": st.one_of(st.none(), st.sampled_from(["x", "x", "x", "y"])),
        "pieces": st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.0, 3.0])),
        "total": amounts,
        "paid": amounts,
    }
)


def median(values):
    low, high = (sorted(values)[place] for place in ((len(values) - 1) // 2, len(values) // 2))
    return low if low == high else low + (high - low) * 0.5


def day_of(rows):
    """What a day's rows say of an item: the last category, and the median of each price; None where nothing does."""
    said = [row["group"] for row in rows if row["group"] is not None]
    told = {"category": said[-1] if said else None}
    sold = [row for row in rows if row["kind"] == "purchase" and (row["pieces"] or 0) > 0]
    for price, total in zip(PRICES, ("total", "paid"), strict=True):
        each = [row[total] / row["pieces"] for row in sold if row[total] is not None]
        told[price] = median(each) if each else None
    return told


def expected(rows, derived):
    found = []
    for item in ITEMS:
        own = sorted((row for row in rows if row["sku"] == item), key=lambda row: row["when"])
        known = None
        for _, day in groupby(own, key=lambda row: row["when"].date()):
            day = list(day)
            told = {name: value for name, value in day_of(day).items() if name == "category" or name in derived}
            now = {name: (known or {}).get(name) if value is None else value for name, value in told.items()}
            if now != known:
                found.append((day[-1]["when"], item, now))
            known = now
    return sorted(found, key=lambda one: one[:2])


_SOLD = {"who": "1", "kind": "purchase", "sku": "b", "group": "x", "pieces": 1.0}


@given(st.lists(lines, min_size=1, max_size=40))
@example(  # on the second day only one of the two prices is told: the other still holds
    [
        _SOLD | {"when": FIRST, "total": None, "paid": 0.0},
        _SOLD | {"when": FIRST + timedelta(days=1), "total": 0.0, "paid": None},
    ]
)
@settings(deadline=None, max_examples=60)
def test_items_have_a_row_whenever_a_day_tells_something_else(tmp_path_factory, drawn):
    folder = tmp_path_factory.mktemp("items")
    rows = [row | {"n": number} for number, row in enumerate(drawn)]
    # A column without any value has no type of its own.
    columns = {name: column for name, column in COLUMNS.items() if any(row[column] is not None for row in rows)}
    ingest(settings_of("table", columns=columns), folder / "out", path=write_rows(folder / "x.parquet", rows))
    pieces = "quantity" in columns
    derived = [name for name, total in zip(PRICES, ("revenue", "cost"), strict=True) if pieces and total in columns]
    told = [
        (row["event_timestamp"], row["item_id"], {name: row[name] for name in ("category", *derived)})
        for row in log_of(folder / "out", "items")
    ]
    assert told == expected(rows, derived)
