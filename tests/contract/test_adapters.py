"""What every adapter does alike; a new one is covered by being dropped into the folder."""

import csv
import importlib
import json
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from feature_repo.errors import SourceDataError
from feature_repo.events import EVENT_SCHEMA, ITEM_SCHEMA, QUARANTINE_SCHEMA, USER_SCHEMA
from tests.sources import FORMATS, ROWS, log_of, quarantined, source_settings, utc, write_rows, write_source
from training.adapters import adapters, ingest
from training.adapters.contract import Adapter

SCHEMAS = {"events": EVENT_SCHEMA, "users": USER_SCHEMA, "items": ITEM_SCHEMA, "quarantine": QUARANTINE_SCHEMA}
EVENT_SOURCES = sorted(name for name, adapter in adapters().items() if isinstance(adapter, Adapter))
every_adapter = pytest.mark.parametrize("name", EVENT_SOURCES)


def those_that(carry):
    return pytest.mark.parametrize("name", [name for name in EVENT_SOURCES if carry(FORMATS[name])])


def run(name, folder, rows=ROWS, out="out", **options):
    return ingest(source_settings(name), folder / out, path=write_source(name, folder, rows), **options)


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", sorted(adapters()))
def test_describes_itself(name):
    about = adapters()[name].description
    assert about.name == name
    assert about.title
    assert about.licence
    assert about.page
    assert about.delay_hours is None or about.delay_hours >= 0


@every_adapter
def test_the_schema_is_exact(name, tmp_path):
    run(name, tmp_path)
    for table, schema in SCHEMAS.items():
        assert pq.read_schema(tmp_path / "out" / table / "part-0.parquet").remove_metadata() == schema


@every_adapter
def test_every_row_comes_out_with_its_values(name, tmp_path):
    report = run(name, tmp_path)
    assert (report.rows_in, report.events, report.quarantined) == (len(ROWS), len(ROWS), {})
    got = [
        (e["user_id"], str(e["event_timestamp"].date()), e["item_id"], e["quantity"], e["revenue"], e["category"])
        for e in log_of(tmp_path / "out")
    ]
    assert got == [FORMATS[name].event(row) for row in ROWS]  # leading zeros included
    assert {e["event_type"] for e in log_of(tmp_path / "out")} == {FORMATS[name].event_type}


@every_adapter
def test_the_same_source_gives_the_same_bytes(name, tmp_path):
    run(name, tmp_path)
    first = contents(tmp_path / "out")
    run(name, tmp_path)
    assert contents(tmp_path / "out") == first
    run(name, tmp_path, out="elsewhere")
    assert contents(tmp_path / "elsewhere") == first


@those_that(lambda form: form.repeats)
def test_a_repeated_source_row_is_a_duplicate_and_nothing_is_lost(name, tmp_path):
    rows = (*ROWS, ROWS[1], ROWS[3], ROWS[1])
    report = run(name, tmp_path, rows)
    assert report.quarantined == {"duplicate": 3}
    assert report.rows_in == report.events + sum(report.quarantined.values()) == len(rows)
    assert [(number, reason) for number, reason, _ in quarantined(tmp_path / "out")] == [
        (6, "duplicate"),
        (7, "duplicate"),
        (8, "duplicate"),
    ]
    assert [row["detail"] for row in log_of(tmp_path / "out", "quarantine")] == [
        "repeats row 2",
        "repeats row 4",
        "repeats row 2",
    ]


@every_adapter
def test_event_ids_are_the_same_in_any_order_and_unique(name, tmp_path):
    run(name, tmp_path)
    forward = {e["event_id"] for e in log_of(tmp_path / "out")}
    run(name, tmp_path, tuple(reversed(ROWS)))
    assert {e["event_id"] for e in log_of(tmp_path / "out")} == forward
    assert len(forward) == len(ROWS)


@every_adapter
def test_events_are_ordered_by_time_whatever_the_source_does(name, tmp_path):
    run(name, tmp_path, tuple(reversed(ROWS)))
    times = [e["event_timestamp"] for e in log_of(tmp_path / "out")]
    assert times == sorted(times)


@every_adapter
def test_known_after_the_declared_delay_never_at_the_clock(name, tmp_path):
    declared = adapters()[name].description.delay_hours
    delay = 36.5 if declared is None else declared
    ingest(source_settings(name, delay_hours=36.5), tmp_path / "out", path=write_source(name, tmp_path))
    for table in ("events", "users", "items"):
        for row in log_of(tmp_path / "out", table):
            assert row["created_timestamp"] - row["event_timestamp"] == timedelta(hours=delay)


@every_adapter
def test_a_day_is_not_known_when_it_begins(name, tmp_path):
    run(name, tmp_path)
    assert log_of(tmp_path / "out")[0]["event_timestamp"] == utc(f"{FORMATS[name].day('2000-11-06')} 12:00")


@every_adapter
def test_users_and_items_have_a_row_at_first_sight_and_at_each_change(name, tmp_path):
    run(name, tmp_path)
    form = FORMATS[name]
    users = [(u["user_id"], u["event_timestamp"].day) for u in log_of(tmp_path / "out", "users")]
    assert users == [(form.identity("00104905"), day_of(form, 6)), (form.identity("00418683"), day_of(form, 7))]
    items = [
        (i["item_id"], i["event_timestamp"].day, i["category"], i["list_price"])
        for i in log_of(tmp_path / "out", "items")
    ]
    assert items == expected_items(form)


def day_of(form, day):
    return int(form.day(f"2000-11-{day:02d}")[-2:])


def expected_items(form):
    """A row for an item on each day on which its category or its price differs from what was known."""
    known, told = {}, []
    for row in ROWS:
        _, day, item, pieces, revenue, category = form.event(row)
        said = (category, revenue / pieces if revenue else None)
        if known.get(item) != said:
            known[item] = said
            told.append((item, int(day[-2:]), *said))
    return told


@every_adapter
def test_a_sample_takes_whole_customers_and_always_the_same(name, tmp_path):
    rows = tuple((f"{n:08d}", "2000-11-06", f"i{k}", 1, 5.0, "a") for n in range(200) for k in range(2))
    run(name, tmp_path, rows, sample=0.2)
    chosen = [e["user_id"] for e in log_of(tmp_path / "out")]
    assert 20 <= len(set(chosen)) <= 65
    assert all(chosen.count(user) == 2 for user in chosen)
    run(name, tmp_path, rows, sample=0.4)
    assert set(chosen) < {e["user_id"] for e in log_of(tmp_path / "out")}
    assert run(name, tmp_path, rows, sample=1.0).events == 400


@every_adapter
def test_a_missing_file_is_named_and_nothing_is_made(name, tmp_path):
    with pytest.raises(SourceDataError, match=r"There is no file .*nowhere\.csv"):
        ingest(source_settings(name), tmp_path / "out", path=tmp_path / "nowhere.csv")
    assert not (tmp_path / "out").exists()


@every_adapter
def test_an_empty_file_leaves_the_previous_log_as_it_was(name, tmp_path):
    run(name, tmp_path)
    before = contents(tmp_path / "out")
    file = write_source(name, tmp_path)
    file.write_bytes(b"")
    with pytest.raises(SourceDataError, match=rf"{file.name} is empty; expected|query failed: no such table"):
        ingest(source_settings(name), tmp_path / "out", path=file)
    assert contents(tmp_path / "out") == before


@every_adapter
def test_a_source_without_rows_is_refused(name, tmp_path):
    file = write_source(name, tmp_path, ())
    with pytest.raises(SourceDataError, match=r"holds no rows; expected at least one\. Check|is empty; exp"):
        ingest(source_settings(name), tmp_path / "out", path=file)


@those_that(lambda form: not form.names_everybody)
def test_rows_that_name_nobody_are_counted_and_kept_with_their_values(name, tmp_path):
    report = run(name, tmp_path, (*ROWS, ("", "2000-11-09", "77", 1, 5.0, "a")))
    assert report.quarantined == {"missing_user_id": 1}
    assert report.rows_in == report.events + sum(report.quarantined.values())
    ((number, _, values),) = quarantined(tmp_path / "out")
    assert number == 6
    assert None in values.values() or "" in values.values()
    assert "77" in values.values()


@those_that(lambda form: "quantity" in form.carries and not form.one_piece)
def test_fewer_than_no_pieces_are_counted_and_kept(name, tmp_path):
    report = run(name, tmp_path, (*ROWS, ("7", "2000-11-10", "77", -1, 5.0, "a")))
    assert report.quarantined == {"negative_quantity": 1}
    assert report.rows_in == report.events + 1


@every_adapter
def test_parquet_of_the_same_columns_is_read_alike(name, tmp_path):
    if name in ("sql", "simulated_shop"):
        pytest.skip("a database is no file, and a simulated shop is Parquet already")
    file = write_source(name, tmp_path)
    ingest(source_settings(name), tmp_path / "out", path=file)
    ingest(source_settings(name), tmp_path / "again", path=as_parquet(name, file))
    plain, again = ([{**event, "event_id": None} for event in log_of(tmp_path / out)] for out in ("out", "again"))
    assert again == plain


def as_parquet(name, file):
    """The published columns under their published names, every cell as text."""
    adapter = importlib.import_module(f"training.adapters.{name}")
    header = getattr(adapter, "NAMES", getattr(adapter, "CLICKS", None))
    if name == "otto":
        events = [json.loads(line) for line in file.read_text().splitlines()]
        rows = [{"session": one["session"], **event} for one in events for event in one["events"]]
    else:
        with file.open(newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.DictReader(handle, fieldnames=header))
    target = file.with_suffix(".parquet")
    return write_rows(target, rows)
