import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from feature_repo.errors import SettingsError, SourceDataError
from services.contracts import ScoreRequest
from tests.sources import (
    TABLE_COLUMNS,
    TABLE_HEADER,
    SettingsOf,
    log_of,
    quarantined,
    settings_of,
    write_csv,
    write_rows,
)
from training.adapters import ingest
from training.adapters.validation import EARLIEST, LATEST, REASONS, is_servable
from training.settings import Settings, template

SETTINGS = settings_of("table", columns=TABLE_COLUMNS)
ROW = {
    "who": "007",
    "when": datetime(2024, 5, 1, 13, 5, tzinfo=UTC),
    "sku": "a",
    "pieces": 1.0,
    "total": 2.5,
    "kind": "k",
}


def of(columns=TABLE_COLUMNS, **more):
    return settings_of("table", columns=columns, **more)


def parquet(tmp_path, *changes, schema=None):
    rows = [ROW | change for change in changes or ({},)]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "x.parquet")
    return tmp_path / "x.parquet"


def test_every_canonical_field_can_be_mapped(tmp_path):
    fields = {
        "user_id": "1", "event_timestamp": "2024-05-01T10:00:00Z", "item_id": "i", "session_id": "s",
        "event_type": "add_to_cart", "quantity": "2", "revenue": "3.5", "cost": "1.25", "currency": "EUR",
        "category": "c", "age_group": "25-34", "gender": "f", "occupation": "o", "country": "NA", "area": "011",
        "brand": "b", "title": 'A "quoted",\nlong title', "description": "d", "list_price": "2", "unit_cost": "1",
    }  # fmt: skip
    file = write_csv(tmp_path / "x.csv", [f"col_{name}" for name in fields], [list(fields.values())])
    ingest(of({name: f"col_{name}" for name in fields}), tmp_path / "out", path=file)
    told = log_of(tmp_path / "out")[0] | log_of(tmp_path / "out", "users")[0] | log_of(tmp_path / "out", "items")[0]
    for name, value in fields.items():
        if name == "event_timestamp":
            assert told[name] == datetime(2024, 5, 1, 10, tzinfo=UTC)
        elif isinstance(told[name], float):
            assert told[name] == float(value)
        else:
            assert told[name] == value


def test_constants_hold_for_every_row_and_the_type_is_purchase_unless_said(tmp_path):
    file = parquet(tmp_path)
    ingest(of(constants={"currency": "EUR", "cost": "1.5"}), tmp_path / "out", path=file)
    event = log_of(tmp_path / "out")[0]
    assert (event["currency"], event["cost"], event["event_type"]) == ("EUR", 1.5, "purchase")
    ingest(of(constants={"event_type": "view"}), tmp_path / "out", path=file)
    assert log_of(tmp_path / "out")[0]["event_type"] == "view"


def test_parquet_and_csv_of_the_same_values_give_the_same_events(tmp_path):
    file = parquet(tmp_path, {}, {"who": "008", "total": None})
    rows = [["007", "2024-05-01 13:05:00+00:00", "a", "1", "2.5", "k"], ["008", "2024-05-01T13:05Z", "a", "1", "", "k"]]
    ingest(SETTINGS, tmp_path / "a", path=file)
    ingest(SETTINGS, tmp_path / "b", path=write_csv(tmp_path / "x.csv", TABLE_HEADER, rows))
    without_id = [[{**event, "event_id": None} for event in log_of(tmp_path / out)] for out in ("a", "b")]
    assert without_id[0] == without_id[1]


NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("when", "zone", "expected"),
    [
        (NOON, "UTC", NOON),
        (datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2))), "UTC", NOON),
        (datetime(2024, 5, 1, 14), "Europe/Berlin", NOON),
        (date(2024, 5, 1), "UTC", NOON),
        (date(2024, 5, 1), "Asia/Taipei", datetime(2024, 5, 1, 4, tzinfo=UTC)),
        ("2024-05-01", "UTC", NOON),
        ("20240501", "UTC", NOON),
        ("2024-05-01", "Asia/Taipei", datetime(2024, 5, 1, 4, tzinfo=UTC)),
        ("2024-05-01 14:00", "Europe/Berlin", NOON),
        ("2024-05-01T12:00:00.000001", "UTC", NOON + timedelta(microseconds=1)),
        ("2024-05-01T07:00:00-05:00", "Europe/Berlin", NOON),
        ("2024-05-01 12:00:00 UTC", "Europe/Berlin", NOON),
        (" 2024-05-01T12:00:00Z ", "Europe/Berlin", NOON),
        (int(NOON.timestamp()), "Europe/Berlin", NOON),
        (str(int(NOON.timestamp())), "Europe/Berlin", NOON),
        ("2024-10-27 02:30", "Europe/Berlin", datetime(2024, 10, 27, 0, 30, tzinfo=UTC)),  # the first of two
        ("2024-03-31 02:30", "Europe/Berlin", datetime(2024, 3, 31, 1, 0, tzinfo=UTC)),  # the clock skipped it
    ],
)
def test_times_are_read_in_the_usual_ways(tmp_path, when, zone, expected):
    ingest(of(timezone=zone), tmp_path / "out", path=parquet(tmp_path, {"when": when}))
    assert log_of(tmp_path / "out")[0]["event_timestamp"] == expected


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_every_unit(tmp_path, unit):
    table = pa.table(
        {"who": ["1"], "when": pa.array([1_714_564_800 * 10 ** (3 * "smun".index(unit[0]))], pa.timestamp(unit))}
    )
    pq.write_table(table, tmp_path / "x.parquet", version="2.6")
    columns = {"user_id": "who", "event_timestamp": "when"}
    ingest(of(columns), tmp_path / "out", path=tmp_path / "x.parquet")
    assert log_of(tmp_path / "out")[0]["event_timestamp"] == NOON


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"when": "yesterday"}, "unreadable_timestamp"),
        ({"when": "171456480000"}, "timestamp_out_of_range"),
        ({"when": "17145648000"}, "unreadable_timestamp"),
        ({"when": "9999999999999999999"}, "timestamp_out_of_range"),
        ({"when": "2024-02-30"}, "unreadable_timestamp"),
        ({"when": "1989-12-31"}, "timestamp_out_of_range"),
        ({"when": "9999-12-31T23:59:59-10:00"}, "timestamp_out_of_range"),
        ({"when": None}, "missing_timestamp"),
        ({"who": None}, "missing_user_id"),
        ({"who": "  "}, "missing_user_id"),
        ({"who": "\u00a0\t\u3000"}, "missing_user_id"),
        ({"who": "x" * 129}, "id_not_servable"),
        ({"who": "a\nb"}, "id_not_servable"),
        ({"who": "a\u200b"}, "id_not_servable"),
        ({"who": ""}, "missing_user_id"),
        ({"pieces": "1,5"}, "not_a_number"),
        ({"pieces": "nan"}, "not_a_number"),
        ({"total": "1e999"}, "not_a_number"),
        ({"total": "-1e16"}, "number_out_of_range"),
        ({"pieces": "-0.5"}, "negative_quantity"),
        ({"act": "stare"}, "unknown_event_type"),
        ({"act": None}, "missing_event_type"),
        ({"money": "euro"}, "unknown_currency"),
    ],
)
def test_each_reason_for_quarantine(tmp_path, change, reason):
    good = {
        "who": "1",
        "when": "2024-05-01",
        "sku": "a",
        "pieces": "1",
        "total": "2",
        "kind": "k",
        "act": "view",
        "money": "EUR",
    }
    columns = {**TABLE_COLUMNS, "event_type": "act", "currency": "money"}
    report = ingest(of(columns), tmp_path / "out", path=write_rows(tmp_path / "x.parquet", [good, good | change]))
    assert report.quarantined == {reason: 1}
    assert reason in REASONS
    assert quarantined(tmp_path / "out")[0][:2] == (2, reason)


ids = st.one_of(
    st.text(max_size=4),
    st.integers(120, 135).map("é".__mul__),
    st.sampled_from([" ", "\x00", "\x7f", "李 🎁", "\u00ad"]),
)


@given(ids)
def test_an_id_is_servable_if_and_only_if_the_service_takes_it(user_id):
    try:
        ScoreRequest(user_id=user_id)
        taken = True
    except ValidationError:
        taken = False
    assert is_servable(user_id) == taken


def test_an_id_of_128_characters_of_any_script_is_taken(tmp_path):
    report = ingest(SETTINGS, tmp_path / "out", path=parquet(tmp_path, {"who": "李" * 128}, {"who": "李" * 129}))
    assert (report.events, report.quarantined) == (1, {"id_not_servable": 1})


def test_of_several_reasons_the_first_counts(tmp_path):
    bad = {"who": None, "when": None, "pieces": -1.0}
    report = ingest(SETTINGS, tmp_path / "out", path=parquet(tmp_path, {}, bad))
    assert report.quarantined == {"missing_user_id": 1}


def test_a_return_may_have_a_negative_quantity(tmp_path):
    file = parquet(tmp_path, {"act": "return", "pieces": -3.0})
    ingest(of({**TABLE_COLUMNS, "event_type": "act"}), tmp_path / "out", path=file)
    assert log_of(tmp_path / "out")[0]["quantity"] == -3.0


def test_typed_columns_of_other_kinds(tmp_path):
    table = pa.table(
        {
            "who": pa.array([7, 8], pa.int32()),
            "when": pa.array(["2024-05-01"] * 2).dictionary_encode(),
            "sku": pa.array(["a", None], pa.large_string()),
            "pieces": pa.array([Decimal("1.50"), None], pa.decimal128(5, 2)),
            "total": pa.array([float("nan"), 2.0]),
            "kind": pa.array(["k", "k"]).dictionary_encode(),
            "extra": pa.array([[1, 2], None]),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    ingest(SETTINGS, tmp_path / "out", path=tmp_path / "x.parquet")
    first, second = log_of(tmp_path / "out")
    assert (first["user_id"], first["item_id"], first["quantity"], first["revenue"]) == ("7", "a", 1.5, None)
    assert (second["user_id"], second["item_id"], second["quantity"], second["revenue"]) == ("8", None, None, 2.0)


def test_a_difference_in_a_column_that_is_not_mapped_is_no_repetition(tmp_path):
    report = ingest(SETTINGS, tmp_path / "out", path=parquet(tmp_path, {"n": 1}, {"n": 2}, {"n": 1}))
    assert report.quarantined == {"duplicate": 1}
    assert quarantined(tmp_path / "out")[0][2]["n"] == "1"


def test_an_attribute_that_is_not_told_again_still_holds(tmp_path):
    columns = {"user_id": "who", "event_timestamp": "when", "country": "land"}
    days = [
        ("2024-05-01", "DE"),
        ("2024-05-02", None),
        ("2024-05-03", "FR"),
        ("2024-05-04", "FR"),
        ("2024-05-05", "DE"),
    ]
    rows = [{"who": "1", "when": day, "land": land} for day, land in days]
    ingest(of(columns), tmp_path / "out", path=write_rows(tmp_path / "x.parquet", rows))
    told = [(user["event_timestamp"].day, user["country"]) for user in log_of(tmp_path / "out", "users")]
    assert told == [(1, "DE"), (3, "FR"), (5, "DE")]


def test_an_items_day_is_known_at_its_last_event_not_before(tmp_path):
    rows = [
        {"when": datetime(2024, 5, 1, hour, tzinfo=UTC), "total": total}
        for hour, total in ((9, 2.0), (11, 4.0), (20, 9.0))
    ]
    ingest(SETTINGS, tmp_path / "out", path=parquet(tmp_path, *rows))
    (item,) = log_of(tmp_path / "out", "items")
    assert (item["event_timestamp"], item["list_price"]) == (datetime(2024, 5, 1, 20, tzinfo=UTC), 4.0)


def refused(tmp_path, error, match, settings=SETTINGS, path=None):
    with pytest.raises(error, match=match):
        ingest(settings, tmp_path / "out", path=path)
    assert not (tmp_path / "out").exists()


def test_a_cut_off_parquet_file(tmp_path):
    file = parquet(tmp_path)
    file.write_bytes(file.read_bytes()[:-20])
    refused(tmp_path, SourceDataError, r"x\.parquet is not a whole Parquet file .* cut off or damaged", path=file)
    file.write_bytes(b"")
    refused(tmp_path, SourceDataError, r"x\.parquet is not a whole Parquet file", path=file)


def test_a_parquet_file_with_damaged_pages(tmp_path):
    file = parquet(tmp_path, *({"total": n * 1.5, "who": str(n)} for n in range(2000)))
    content = bytearray(file.read_bytes())
    content[4:400] = b"\xff" * 396
    file.write_bytes(content)
    refused(tmp_path, SourceDataError, r"x\.parquet is not a whole Parquet file", path=file)


def test_a_missing_column_lists_what_is_there(tmp_path):
    settings = of({**TABLE_COLUMNS, "brand": "maker"})
    match = r"x\.parquet lacks 1 column\(s\): expected maker \(for brand\); it has who, when, sku, pieces, total, kind"
    refused(tmp_path, SourceDataError, match, settings, parquet(tmp_path))


@pytest.mark.parametrize(("mark", "told"), [(";", "';'"), ("\t", r"'\\t'"), ("|", r"'\|'")])
def test_a_csv_of_another_separator_says_which(tmp_path, mark, told):
    file = tmp_path / "export.csv"
    file.write_text(f"who{mark}when{mark}total\n1{mark}2024-01-01{mark}79,26\n")
    refused(tmp_path, SourceDataError, rf"export\.csv lacks .* are separated by {told}; expected commas", path=file)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"who": True}, "Column who of x.parquet is of a wrong type for user_id: got bool; expected text or whole"),
        ({"when": True}, "Column when of x.parquet is of a wrong type for event_timestamp: got bool; expected timest"),
        ({"total": True}, "Column total of x.parquet is of a wrong type for revenue: got bool; expected numbers"),
        ({"kind": ["a"]}, "Column kind of x.parquet is of a wrong type for category: got list"),
    ],
)
def test_a_column_of_a_wrong_type(tmp_path, change, match):
    refused(tmp_path, SourceDataError, match, path=parquet(tmp_path, change))


def test_a_column_that_is_unreadable_throughout_is_named_with_its_count(tmp_path):
    rows = [{"who": f"customer-{n}", "when": f"soon {n}"} for n in range(30)]
    refused(
        tmp_path,
        SourceDataError,
        r"None of the 30 rows of x\.parquet can be used: unreadable_timestamp \(column when\) in 30 rows\. Check.* "
        r"and how times are written \(\[data\] time_format\); nothing was written",
        path=parquet(tmp_path, *rows),
    )


def test_where_no_kind_of_event_is_known_it_says_where_words_are_mapped(tmp_path):
    told = r"unknown_event_type .* in 2 rows\. .*, and which type each word is \(\[data\.event_types\]\); nothing"
    file = parquet(tmp_path, {"kind": "bought"}, {"kind": "bought", "who": "8"})
    refused(
        tmp_path, SourceDataError, told, of({"user_id": "who", "event_timestamp": "when", "event_type": "kind"}), file
    )


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("write", [int, str, float, "{}.0".format])
def test_unix_time_of_any_unit_is_told_by_its_size(tmp_path, unit, write):
    file = parquet(tmp_path, {"when": write(1_714_564_800 * unit)})
    ingest(SETTINGS, tmp_path / "out", path=file)
    assert log_of(tmp_path / "out")[0]["event_timestamp"] == NOON


def test_units_may_be_mixed_in_one_column(tmp_path):
    moments = [1_714_564_800 * unit for unit in (1, 10**3, 10**6, 10**9)]
    file = parquet(tmp_path, *({"when": moment, "who": str(n)} for n, moment in enumerate(moments)))
    ingest(SETTINGS, tmp_path / "out", path=file)
    assert {event["event_timestamp"] for event in log_of(tmp_path / "out")} == {NOON}


def test_numbers_that_are_no_moment(tmp_path):
    file = parquet(tmp_path, {"when": 171_456_480_000}, {"when": 2**62}, {"when": -(2**62)}, {"when": -(2**63)})
    refused(tmp_path, SourceDataError, r"None of the 4 rows .*: timestamp_out_of_range", path=file)


@pytest.mark.parametrize("far", [pa.array([2**63 + 1, 5], pa.uint64()), pa.array([2**31 - 1, 5], pa.date32())])
def test_moments_beyond_what_a_clock_can_tell_are_kept_in_quarantine(tmp_path, far):
    pq.write_table(pa.table({"who": ["1", "2"], "when": far}), tmp_path / "x.parquet")
    columns = {"user_id": "who", "event_timestamp": "when"}
    refused(tmp_path, SourceDataError, "2 rows .*: timestamp_out_of_range", of(columns), tmp_path / "x.parquet")
    day = pa.concat_arrays([far, pa.array([19_844 if far.type == pa.date32() else 1_714_564_800], far.type)])
    pq.write_table(pa.table({"who": ["1", "2", "3"], "when": day}), tmp_path / "x.parquet")
    report = ingest(of(columns), tmp_path / "out", path=tmp_path / "x.parquet")
    assert report.quarantined == {"timestamp_out_of_range": 2}
    assert quarantined(tmp_path / "out")[0][2]["when"] in (str(2**63 + 1), str(2**31 - 1))


def test_days_as_whole_numbers_are_read_by_their_format(tmp_path):
    file = parquet(tmp_path, {"when": 20_240_501}, {"when": 20_241_332, "who": "8"})
    match = r"timestamp_out_of_range .* and how times are written \(\[data\] time_format\)"
    refused(tmp_path, SourceDataError, match, path=file)
    report = ingest(of(time_format="%Y%m%d"), tmp_path / "out", path=file)
    assert [event["event_timestamp"] for event in log_of(tmp_path / "out")] == [NOON]
    assert report.quarantined == {"unreadable_timestamp": 1}


def test_ids_that_a_tool_wrote_as_floats_beside_missing_ones(tmp_path):
    file = parquet(tmp_path, {"who": 17850.0}, {"who": None}, {"who": 1.5})
    report = ingest(SETTINGS, tmp_path / "out", path=file)
    assert report.quarantined == {"missing_user_id": 1, "not_an_id": 1}
    assert [event["user_id"] for event in log_of(tmp_path / "out")] == ["17850"]


def test_ids_that_are_decimals(tmp_path):
    for kind, reason in ((pa.decimal128(20, 0), {}), (pa.decimal128(5, 1), {"not_an_id": 1})):
        who = [Decimal("12345678901234567890"), Decimal(7)] if kind.scale == 0 else [Decimal("1.5"), Decimal("7.0")]
        table = pa.table({"who": pa.array(who, kind), "when": [NOON, NOON]})
        pq.write_table(table, tmp_path / "x.parquet")
        columns = {"user_id": "who", "event_timestamp": "when"}
        assert ingest(of(columns), tmp_path / "out", path=tmp_path / "x.parquet").quarantined == reason
        expected = {"7"} if reason else {"7", "12345678901234567890"}
        assert {event["user_id"] for event in log_of(tmp_path / "out")} == expected


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%d/%m/%Y %H:%M", "01/05/2024 12:00"),
        ("%d.%m.%y", "01.05.24"),
        ("%Y-%m-%d %H:%M:%S.%f", "2024-05-01 12:00:00.000000"),
        ("%d/%b/%Y:%H:%M:%S %z", "01/May/2024:14:00:00 +0200"),
    ],
)
def test_times_in_a_format_of_their_own(tmp_path, pattern, text):
    file = parquet(tmp_path, {"when": text}, {"when": "soon"})
    report = ingest(of(time_format=pattern), tmp_path / "out", path=file)
    assert [event["event_timestamp"] for event in log_of(tmp_path / "out")] == [NOON]
    assert report.quarantined == {"unreadable_timestamp": 1}


def test_words_for_types_of_events(tmp_path):
    columns = {**TABLE_COLUMNS, "event_type": "act"}
    words = {"pageview": "view", "Order": "purchase", "-1": "return"}
    acts = ["pageview", "PageView ", "ORDER", "View", "add_to_cart", "login", "-1"]
    file = parquet(tmp_path, *({"act": act, "who": str(n)} for n, act in enumerate(acts)))
    report = ingest(of(columns, event_types=words), tmp_path / "out", path=file)
    kinds = {event["user_id"]: event["event_type"] for event in log_of(tmp_path / "out")}
    assert list(kinds.values()) == ["view", "view", "purchase", "view", "add_to_cart", "return"]
    assert report.quarantined == {"unknown_event_type": 1}


def test_zones_may_be_mixed_in_one_column(tmp_path):
    whens = ["2024-05-01 14:00", "2024-05-01T12:00:00Z", "2024-05-01 13:00:00+01:00", "2024-05-01 12:00:00 UTC"]
    file = parquet(tmp_path, *({"when": when, "who": str(n)} for n, when in enumerate(whens)))
    ingest(of(timezone="Europe/Berlin"), tmp_path / "out", path=file)
    assert [event["event_timestamp"] for event in log_of(tmp_path / "out")] == [NOON] * 4


def catalogue(tmp_path, rows):
    return {"path": write_rows(tmp_path / "items.parquet", rows)}


def test_files_about_items_and_users(tmp_path):
    day = {"when": datetime(2024, 5, 1, 13, tzinfo=UTC)}
    file = parquet(tmp_path, day | {"who": "1", "sku": "a", "kind": None}, day | {"who": "2", "sku": "b", "kind": None})
    items = [{"id": "a", "kind": "shoes", "cost": "2.5"}, {"id": "z", "kind": "hats", "cost": "x"}, {"id": None}]
    users = [{"id": "1", "land": "DE", "since": "2024-05-02"}, {"id": "3", "land": "FR", "since": None}]
    settings = of(
        {name: column for name, column in TABLE_COLUMNS.items() if name != "category"},
        items=catalogue(tmp_path, items) | {"columns": {"item_id": "id", "category": "kind", "unit_cost": "cost"}},
        users={
            "path": write_rows(tmp_path / "users.parquet", users),
            "columns": {"user_id": "id", "country": "land", "event_timestamp": "since"},
        },
    )
    report = ingest(settings, tmp_path / "out", path=file)
    assert (report.rows_in, report.events, report.quarantined) == (2, 2, {})
    assert report.attribute_rows == {"items": 1, "users": 1, "items_quarantined": 2, "users_quarantined": 1}
    assert [event["category"] for event in log_of(tmp_path / "out")] == ["shoes", None]
    told = [(u["user_id"], u["country"], u["event_timestamp"].day) for u in log_of(tmp_path / "out", "users")]
    assert told == [("1", None, 1), ("2", None, 1), ("1", "DE", 2)]
    item = log_of(tmp_path / "out", "items")[0]
    assert (item["item_id"], item["category"], item["unit_cost"]) == ("a", "shoes", 2.5)
    details = [(row["reason"], row["detail"]) for row in log_of(tmp_path / "out", "quarantine")]
    assert details == [
        ("not_a_number", "items: column cost"),
        ("missing_item_id", "items: canonical column item_id"),
        ("missing_timestamp", "users: column since"),
    ]


def test_an_event_has_the_category_that_was_known_then_and_none_from_later(tmp_path):
    rows = [{"when": datetime(2024, 5, day, 13, tzinfo=UTC)} for day in (1, 3, 5)]
    items = [{"id": "a", "kind": kind, "at": f"2024-05-0{day}T00:00:00Z"} for day, kind in ((2, "old"), (4, "new"))]
    settings = of(
        {name: column for name, column in TABLE_COLUMNS.items() if name != "category"},
        items=catalogue(tmp_path, items) | {"columns": {"item_id": "id", "category": "kind", "event_timestamp": "at"}},
    )
    ingest(settings, tmp_path / "out", path=parquet(tmp_path, *rows))
    assert [event["category"] for event in log_of(tmp_path / "out")] == [None, "old", "new"]


def test_an_event_without_a_price_has_the_one_that_its_item_was_offered_for_then(tmp_path):
    rows = [{"when": datetime(2024, 5, day, 13, tzinfo=UTC)} for day in (1, 3, 5)]
    items = [{"id": "a", "kind": "k", "price": price, "at": f"2024-05-0{day}T00:00:00Z"}
             for day, price in ((2, "9.5"), (4, "8"))]  # fmt: skip
    columns = {"item_id": "id", "category": "kind", "list_price": "price", "event_timestamp": "at"}
    settings = of(
        {name: column for name, column in TABLE_COLUMNS.items() if name != "category"},
        items=catalogue(tmp_path, items) | {"columns": columns},
    )
    ingest(settings, tmp_path / "out", path=parquet(tmp_path, *rows))
    told = [(event["category"], event["list_price"]) for event in log_of(tmp_path / "out")]
    assert told == [(None, None), ("k", 9.5), ("k", 8.0)]
    prices = [(item["event_timestamp"].day, item["list_price"]) for item in log_of(tmp_path / "out", "items")]
    assert prices == [(1, None), (2, 9.5), (4, 8.0)]


def test_an_event_that_says_its_price_is_believed(tmp_path):
    rows = [{"when": datetime(2024, 5, day, 13, tzinfo=UTC), "cost": cost} for day, cost in ((1, "7"), (3, None))]
    items = [{"id": "a", "price": "9.5"}]
    settings = of(
        {**TABLE_COLUMNS, "list_price": "cost"},
        items=catalogue(tmp_path, items) | {"columns": {"item_id": "id", "list_price": "price"}},
    )
    ingest(settings, tmp_path / "out", path=parquet(tmp_path, *rows))
    assert [event["list_price"] for event in log_of(tmp_path / "out")] == [7.0, None]


def test_a_column_named_twice(tmp_path):
    file = write_csv(tmp_path / "x.csv", ["who", "when", "who"], [["1", "2024-05-01", "2"]])
    refused(tmp_path, SourceDataError, "several columns of one name: got who more than once", path=file)


def test_text_that_is_not_utf8_in_the_header(tmp_path):
    (tmp_path / "x.csv").write_bytes("who,when,größe\n1,2,3\n".encode("utf-16"))
    refused(tmp_path, SourceDataError, r"x\.csv", path=tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ({"columns": {**TABLE_COLUMNS, "colour": "c"}}, "names fields that do not exist: got colour; expected any"),
        (
            {"columns": {"user_id": "who"}},
            "lacks event_timestamp; expected a column for user_id and one for event",
        ),
        (
            {"columns": TABLE_COLUMNS, "constants": {"category": "a"}},
            "gives category twice, as a column and as a",
        ),
        (
            {"columns": {**TABLE_COLUMNS, "brand": "kind"}},
            "one column to several fields: got category, brand",
        ),
        (
            {"columns": TABLE_COLUMNS, "constants": {"event_type": "buy"}},
            "has the constant event_type = 'buy'; exp",
        ),
        (
            {"columns": TABLE_COLUMNS, "constants": {"cost": "free"}},
            "has the constant cost = 'free'; expected a num",
        ),
        (
            {"columns": TABLE_COLUMNS, "timezone": "Mars/Base"},
            r"timezone is not known: got 'Mars/Base'; expected .* Change it in intent\.toml",
        ),
        (
            {"columns": TABLE_COLUMNS, "time_format": "%H:%M"},
            r"time_format does not tell the day: got '%H:%M'; expected .* Change it in intent\.toml",
        ),
    ],
)
def test_a_mapping_that_makes_no_sense(tmp_path, data, match):
    refused(tmp_path, SettingsError, match, settings_of("table", **data), parquet(tmp_path))


def test_a_mapping_that_makes_no_sense_is_named_with_its_file(tmp_path):
    text = template("table").replace("quantity = ", "colour = ")
    (tmp_path / "shop.toml").write_text(text)
    told = Settings.load(tmp_path / "shop.toml")
    match = rf"got colour; .*Change \[data\.columns\] in {re.escape(str(tmp_path))}/shop\.toml\."
    refused(tmp_path, SettingsError, match, told, parquet(tmp_path))
    whole = SettingsOf(of(time_format="%d/%m/%Y").data.of_file(tmp_path / "shop.toml"))
    match = rf"Check the adapter and, in {re.escape(str(tmp_path))}/shop\.toml, which"
    refused(tmp_path, SourceDataError, match, whole, parquet(tmp_path, {"when": "soon"}))
    refused(tmp_path, SettingsError, r"lacks user_id.* in intent\.toml", settings_of("table"), parquet(tmp_path))


def test_no_file_named(tmp_path):
    refused(tmp_path, SettingsError, r"No file is named: .*\[data\] path")


def test_a_file_of_an_unknown_kind(tmp_path):
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    refused(
        tmp_path,
        SourceDataError,
        r"x\.xlsx is of an unknown kind; expected a name that ends in \.csv",
        path=tmp_path / "x.xlsx",
    )


def test_the_path_of_the_settings_is_read(tmp_path):
    assert ingest(of(path=parquet(tmp_path)), tmp_path / "out").events == 1


cells = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=6),
    st.sampled_from(["1", "-2", "2024-05-01", "1714564800", "", " ", "NaN", "é", "a\x1fb", "\\N", "\\", '"', "x,y"]),
)


@given(st.lists(st.tuples(cells, cells, cells, cells, cells, cells), min_size=1, max_size=30))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_cells_hold_every_row_is_an_event_or_in_quarantine(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("any")
    good = ("always", "2024-05-01", "a", "1", "2", "k")
    file = write_csv(folder / "x.csv", TABLE_HEADER, [good, *rows])
    report = ingest(SETTINGS, folder / "out", path=file)
    assert report.rows_in == report.events + sum(report.quarantined.values()) == len(rows) + 1
    assert set(report.quarantined) <= set(REASONS)
    events = log_of(folder / "out")
    assert len({event["event_id"] for event in events}) == len(events)
    assert all(event["user_id"].strip() and EARLIEST <= event["event_timestamp"] < LATEST for event in events)
    assert report.events <= len(set(rows) | {good})


def test_a_field_that_is_mapped_twice_is_refused(tmp_path):
    text = '[data]\nadapter = "table"\n[data.columns]\nuser_id = "who"\nuser_id = "customer"\n'
    (tmp_path / "intent.toml").write_text(text)
    with pytest.raises(
        SettingsError, match=r"is not TOML: .*line 5.*; got user_id a second time; expected each key once"
    ):
        Settings.load(tmp_path / "intent.toml")
