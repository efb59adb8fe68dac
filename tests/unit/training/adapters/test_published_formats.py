"""What each published format has of its own, on small files written here."""

import json

import pyarrow.parquet as pq
import pytest

from feature_repo.errors import SettingsError, SourceDataError
from tests.sources import (
    ONLINE_RETAIL_HEADER,
    REES46_HEADER,
    log_of,
    quarantined,
    seconds,
    settings_of,
    utc,
    write_csv,
    write_rows,
)
from training.adapters import ingest

DAY = 1000 * seconds("2015-06-02")


def test_an_invoice_that_begins_with_c_is_a_return_and_keeps_its_sign(tmp_path):
    when = utc("2011-01-05 10:30")
    lines = [("536365", 6, 17850.0), ("C536379", -1, 17850.0), ("536366", -5, None), ("A563185", 1, None)]
    rows = [
        {"InvoiceNo": invoice, "StockCode": "85123A", "Description": "HEART", "Quantity": pieces,
         "InvoiceDate": when.replace(tzinfo=None), "UnitPrice": 2.5, "CustomerID": user, "Country": "EIRE"}
        for invoice, pieces, user in lines
    ]  # fmt: skip
    report = ingest(settings_of("online_retail"), tmp_path / "out", path=write_rows(tmp_path / "x.parquet", rows))
    told = [(e["event_type"], e["quantity"], e["revenue"], e["user_id"]) for e in log_of(tmp_path / "out")]
    assert told == [("purchase", 6.0, 15.0, "17850"), ("return", -1.0, -2.5, "17850")]
    assert report.quarantined == {"missing_user_id": 2}
    assert {e["event_timestamp"] for e in log_of(tmp_path / "out")} == {when}


def test_online_retail_as_a_spreadsheet_saves_it(tmp_path):
    line = ["536365", "85123A", "HEART", "6", "12/1/2010 8:26", "2.55", "17850", "United Kingdom"]
    ingest(
        settings_of("online_retail"), tmp_path / "out", path=write_csv(tmp_path / "x.csv", ONLINE_RETAIL_HEADER, [line])
    )
    (event,) = log_of(tmp_path / "out")
    assert (event["event_timestamp"], event["user_id"]) == (utc("2010-12-01 08:26"), "17850")
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    with pytest.raises(SourceDataError, match=r"x\.xlsx is a workbook; expected CSV or Parquet"):
        ingest(settings_of("online_retail"), tmp_path / "out", path=tmp_path / "x.xlsx")


def test_taobao_outside_of_the_nine_days_of_shanghai(tmp_path):
    edges = (1511539199, 1511539200, 1512316799, 1512316800, -1, 2122867355)
    rows = [("1", str(n), "c", "pv", second) for n, second in enumerate(edges)]
    report = ingest(settings_of("taobao_userbehavior"), tmp_path / "out", path=write_csv(tmp_path / "x.csv", (), rows))
    assert [event["item_id"] for event in log_of(tmp_path / "out")] == ["1", "2"]
    assert report.quarantined == {"outside_period": 3, "unreadable_timestamp": 1}
    assert quarantined(tmp_path / "out")[0][2]["timestamp"] == "1511539199"


def test_rees46_takes_the_path_where_there_is_one(tmp_path):
    rows = [
        ("2019-10-01 00:00:00 UTC", kind, "7", "205", code, "", "35.79", "1", "s")
        for kind, code in (("view", ""), ("cart", "a.b"), ("purchase", "a.b"), ("remove_from_cart", "a.b"))
    ]
    ingest(settings_of("rees46"), tmp_path / "out", path=write_csv(tmp_path / "x.csv", REES46_HEADER, rows))
    fields = ("event_type", "category", "quantity", "revenue", "list_price")
    told = [tuple(event[field] for field in fields) for event in log_of(tmp_path / "out")]
    assert told == [
        ("view", "205", None, None, 35.79),
        ("add_to_cart", "a.b", None, None, 35.79),
        ("purchase", "a.b", 1.0, 35.79, 35.79),
        ("remove_from_cart", "a.b", None, None, 35.79),
    ]


def retailrocket(folder, properties, tree):
    folder.mkdir()
    rows = [(DAY, 1, "view", 10, ""), (DAY + 1, 1, "addtocart", 10, ""), (DAY + 2, 1, "transaction", 11, 4000)]
    write_csv(folder / "events.csv", ("timestamp", "visitorid", "event", "itemid", "transactionid"), rows)
    for part, half in enumerate((properties[:2], properties[2:]), 1):
        file = folder / f"item_properties_part{part}.csv"
        write_csv(file, ("timestamp", "itemid", "property", "value"), half)
    write_csv(folder / "category_tree.csv", ("categoryid", "parentid"), tree)
    return folder


def test_retailrocket_follows_properties_and_the_tree(tmp_path):
    properties = [
        (DAY - 5, 10, "categoryid", 3),
        (DAY - 5, 10, "790", "n9.000"),
        (DAY + 1, 10, "categoryid", 8),
        (DAY + 9, 11, "categoryid", 3),
        (DAY, 12, "categoryid", 99),
        ("soon", 12, "categoryid", 1),
    ]
    folder = retailrocket(tmp_path / "data", properties, [(1, ""), (2, 1), (3, 2), (8, 9), (9, 8)])
    report = ingest(settings_of("retailrocket"), tmp_path / "out", path=folder)
    assert (report.rows_in, report.events) == (3, 3)
    assert report.attribute_rows == {"items": 4, "items_quarantined": 1}
    told = [(e["event_type"], e["item_id"], e["category"]) for e in log_of(tmp_path / "out")]
    assert told == [("view", "10", "1.2.3"), ("add_to_cart", "10", "9.8"), ("purchase", "11", None)]
    assert {i["item_id"]: i["category"] for i in log_of(tmp_path / "out", "items")} == {
        "10": "9.8", "11": "1.2.3", "12": "99",
    }  # fmt: skip
    assert log_of(tmp_path / "out", "quarantine")[0]["detail"] == "items: column timestamp"


def test_retailrocket_needs_all_of_its_files(tmp_path):
    folder = retailrocket(tmp_path / "data", [], [])
    (folder / "category_tree.csv").unlink()
    with pytest.raises(SourceDataError, match=r"category_tree\.csv missing beside events\.csv; expected all four"):
        ingest(settings_of("retailrocket"), tmp_path / "out", path=folder / "events.csv")


def test_a_broken_row_of_the_tree_is_told_and_not_left_out(tmp_path):
    folder = retailrocket(tmp_path / "data", [(DAY - 5, 10, "categoryid", 3)], [(1, ""), (2, 1), (3,)])
    with pytest.raises(SourceDataError, match=r"category_tree\.csv has rows .* first row 3: 1 cells instead of 2; exp"):
        ingest(settings_of("retailrocket"), tmp_path / "out", path=folder)


def test_yoochoose_reads_clicks_and_then_buys(tmp_path):
    clicks = [
        ("1", "2014-04-07T10:51:09.277Z", "21", "0"),
        ("1", "2014-04-07T10:54:09.868Z", "22", "S"),
        ("2", "2014-04-07T10:55:00.000Z", "23", "12"),
        ("2", "2014-04-07T10:56:00.000Z", "24", "2089046355"),
    ]
    buys = [("1", "2014-04-07T10:58:00.100Z", "22", "12462", "2"), ("2", "2014-04-07T10:59:00.000Z", "23", "0", "0")]
    write_csv(tmp_path / "yoochoose-clicks.dat", (), clicks)
    write_csv(tmp_path / "yoochoose-buys.dat", (), [*buys, ("3", "never", "1", "1", "1")])
    report = ingest(settings_of("yoochoose"), tmp_path / "out", path=tmp_path)
    assert (report.rows_in, report.events) == (7, 6)
    told = [(e["event_type"], e["category"], e["quantity"], e["revenue"]) for e in log_of(tmp_path / "out")]
    assert told == [
        ("view", None, None, None),
        ("view", None, None, None),
        ("view", "12", None, None),
        ("view", None, None, None),
        ("purchase", None, 2.0, 24924.0),
        ("purchase", None, None, None),
    ]
    assert [(i["item_id"], i["brand"]) for i in log_of(tmp_path / "out", "items") if i["brand"]] == [
        ("24", "2089046355")
    ]
    ((number, reason, _),) = quarantined(tmp_path / "out")
    assert (number, reason) == (7, "unreadable_timestamp")
    (tmp_path / "yoochoose-buys.dat").unlink()
    with pytest.raises(SourceDataError, match=r"There is no yoochoose-buys\.dat beside yoochoose-clicks\.dat"):
        ingest(settings_of("yoochoose"), tmp_path / "out", path=tmp_path)


def test_otto_lines_that_are_no_sessions_are_set_apart(tmp_path):
    ts = 1_659_304_800_025
    good = {"session": 5, "events": [{"aid": 1, "ts": ts, "type": kind} for kind in ("clicks", "carts", "orders")]}
    lines = [json.dumps(good), "{broken", json.dumps({"session": 6}), '"text"', json.dumps(good | {"session": 7})]
    file = tmp_path / "x.jsonl"
    file.write_text("\n".join(lines))
    report = ingest(settings_of("otto"), tmp_path / "out", path=file)
    assert (report.rows_in, report.events, report.quarantined) == (9, 6, {"unreadable_row": 3})
    assert [row[0] for row in quarantined(tmp_path / "out")] == [4, 5, 6]
    told = [(e["user_id"], e["session_id"], e["item_id"], e["event_type"]) for e in log_of(tmp_path / "out")]
    assert told[:3] == [("5", "5", "1", "view"), ("5", "5", "1", "add_to_cart"), ("5", "5", "1", "purchase")]
    assert log_of(tmp_path / "out")[0]["event_timestamp"] == utc("2022-07-31 22:00:00.025")


def test_a_long_line_of_otto_that_is_set_apart_is_kept_whole(tmp_path):
    events = [{"aid": n, "ts": 1_659_304_800_025 + n, "type": "clicks"} for n in range(400)]
    lines = [
        json.dumps({"session": 1, "events": events}),
        json.dumps({"session": 2, "events": [*events, {"aid": "x"}]}),
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    report = ingest(settings_of("otto"), tmp_path / "out", path=tmp_path / "x.jsonl")
    assert (report.events, report.quarantined) == (400, {"unreadable_row": 1})
    assert quarantined(tmp_path / "out")[0][2] == {"line": lines[1]}


SESSION = {
    "Administrative": 0, "Administrative_Duration": 0, "Informational": 0, "Informational_Duration": 0,
    "ProductRelated": 2, "ProductRelated_Duration": 64, "BounceRates": 0, "ExitRates": 0.1, "PageValues": 0,
    "SpecialDay": 0, "Month": "Feb", "OperatingSystems": 2, "Browser": 2, "Region": 1, "TrafficType": 2,
    "VisitorType": "Returning_Visitor", "Weekend": "FALSE", "Revenue": "TRUE",
}  # fmt: skip


def test_online_shoppers_is_a_table_and_no_events_are_made_of_it(tmp_path):
    broken = SESSION | {"ProductRelated": "two"}
    rows = [list(session.values()) for session in (SESSION, SESSION, broken)]
    file = write_csv(tmp_path / "x.csv", list(SESSION), rows)
    report = ingest(settings_of("online_shoppers"), tmp_path / "out", path=file)
    assert (report.rows_in, report.table_rows, report.events) == (3, 2, 0)
    assert report.quarantined == {"unreadable_value": 1}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["sessions"]
    assert json.loads((tmp_path / "out" / "sessions" / "card.json").read_text())["label_counts"] == {"True": 2}
    with pytest.raises(SettingsError, match=r"names no customers: got sample 0\.5"):
        ingest(settings_of("online_shoppers"), tmp_path / "out", path=file, sample=0.5)
    with pytest.raises(SourceDataError, match=r"lacks 1 column\(s\): expected Revenue"):
        ingest(
            settings_of("online_shoppers"), tmp_path / "o", path=write_csv(tmp_path / "y.csv", list(SESSION)[:-1], [])
        )


def test_a_part_of_online_shoppers_says_so_and_its_broken_rows_are_kept_as_they_were(tmp_path):
    rows = [SESSION, SESSION | {"Region": 2}, SESSION | {"Region": "1e30"}, SESSION | {"Month": "M\xe4r"}]
    lines = [",".join(str(cell) for cell in session.values()) for session in rows]
    content = "\n".join([",".join(SESSION), *lines, "1,2,3", ""])
    (tmp_path / "x.csv").write_bytes(content.encode("latin-1"))
    report = ingest(settings_of("online_shoppers"), tmp_path / "out", path=tmp_path / "x.csv")
    assert (report.rows_in, report.table_rows) == (5, 2)
    assert report.quarantined == {"unreadable_value": 2, "wrong_column_count": 1}
    assert report.odd[0] == "The published data set has 12,330 lines; this one has 5."
    refused = pq.read_table(tmp_path / "out" / "sessions" / "quarantine.parquet").to_pylist()
    told = {row["source_row"]: (row["detail"], json.loads(row["source_values"])) for row in refused}
    assert sorted(told) == [3, 4, 5]
    assert told[3][1]["Region"] == "1e30"
    assert (told[4][0], told[4][1]["Month"]) == ("column Month", "M\ufffdr")
    assert told[5] == ("3 cells instead of 18", {"line": "1,2,3"})
