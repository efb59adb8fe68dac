"""What is told of customers, by events and by a file about them, against a loop over all that was said."""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources import log_of, settings_of, write_rows
from training.adapters import ingest

lands = st.sampled_from([None, "DE", "FR"])
customers = st.sampled_from(["1", "2"])
events = st.lists(st.tuples(customers, st.integers(1, 5), lands), min_size=1, max_size=8, unique_by=lambda e: e[:2])
files = st.dictionaries(customers, st.tuples(st.integers(1, 5), st.sampled_from(["DE", "FR"])))


def at(day, hour):
    return datetime(2024, 5, day, hour, tzinfo=UTC)


def told_by_a_loop(said):
    """Return (moment, customer, country) at each customer's first word and at every change; null says nothing."""
    told, known = [], {}
    for moment, who, land in sorted(said, key=lambda word: word[:2]):
        now = land or known.get(who)
        if who not in known or now != known[who]:
            told.append((moment, who, now))
        known[who] = now
    return told


@settings(max_examples=40, deadline=None)
@given(events, files)
def test_customers_are_told_at_their_first_row_and_whenever_something_changes(rows, file):
    said = [(at(day, 12), who, land) for who, day, land in rows]
    about = [(at(day, 13), who, land) for who, (day, land) in file.items()]
    with TemporaryDirectory() as name:
        folder = Path(name)
        source = write_rows(folder / "x.parquet", [{"who": w, "when": m, "land": land} for m, w, land in said])
        more = {}
        if about:
            users = write_rows(folder / "u.parquet", [{"id": w, "since": m, "land": land} for m, w, land in about])
            mapped = {"user_id": "id", "event_timestamp": "since", "country": "land"}
            more = {"users": {"path": users, "columns": mapped}}
        columns = {"user_id": "who", "event_timestamp": "when", "country": "land"}
        ingest(settings_of("table", columns=columns, **more), folder / "out", path=source)
        found = [(u["event_timestamp"], u["user_id"], u["country"]) for u in log_of(folder / "out", "users")]
    assert found == told_by_a_loop(said + about)
