"""The counts of the published data sets, to the row. INTENT_TEST_DATA names the folder that holds them."""

import json
import os
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.sources import log_of, quarantined, settings_of
from training.adapters import ingest


def published(*path):
    folder = os.environ.get("INTENT_TEST_DATA")
    if not folder:
        pytest.skip("INTENT_TEST_DATA, the folder with the published data sets, is not set")
    file = Path(folder).joinpath(*path)
    if not file.is_file():
        pytest.skip(f"INTENT_TEST_DATA holds no {'/'.join(path)}")
    return file


def test_online_retail(tmp_path):
    file = published("online_retail", "online_retail.parquet")
    report = ingest(settings_of("online_retail"), tmp_path, path=file)
    assert report.rows_in == 541_909
    assert report.quarantined == {"missing_user_id": 135_080, "duplicate": 5_225}
    assert report.events == 541_909 - 135_080 - 5_225
    assert (report.customers, report.distinct_items) == (4_372, 3_684)
    assert (report.first, report.last) == ("2010-12-01T08:26:00+00:00", "2011-12-09T12:50:00+00:00")
    assert not any("not those of the published" in fact for fact in report.odd)
    refused = [values for _, _, values in quarantined(tmp_path)]
    events = pq.read_table(tmp_path / "events")
    cancelled = pc.starts_with(events["session_id"], "C")
    assert pc.all(pc.equal(cancelled, pc.equal(events["event_type"], "return"))).as_py()
    assert pc.sum(cancelled).as_py() + sum(row["InvoiceNo"].startswith("C") for row in refused) == 9_288
    items = set(events["item_id"].unique().to_pylist()) | {row["StockCode"] for row in refused}
    invoices = set(events["session_id"].unique().to_pylist()) | {row["InvoiceNo"] for row in refused}
    assert (len(items), len(invoices)) == (4_070, 25_900)
    assert len({row["Country"] for row in refused} | countries(tmp_path)) == 38
    assert pc.all(pc.match_substring_regex(events["user_id"], "^[0-9]{5}$")).as_py()


def countries(out):
    return {user["country"] for user in log_of(out, "users")}


def test_taobao_userbehavior(tmp_path):
    file = published("taobao_userbehavior", "UserBehavior.csv")
    report = ingest(settings_of("taobao_userbehavior"), tmp_path, path=file)
    assert (report.rows_in, report.events, report.customers) == (84_475, 84_440, 815)
    assert report.quarantined == {"outside_period": 35}  # clocks that were wrong, as in the whole data set
    assert report.first >= "2017-11-24T16:00:00+00:00"
    assert report.last < "2017-12-03T16:00:00+00:00"
    refused = [values for _, _, values in quarantined(tmp_path)]
    kinds = {kind: 0 for kind in ("pv", "cart", "fav", "buy")}
    for values in refused:
        kinds[values["behavior_type"]] += 1
    told = json.loads((tmp_path / "data_card.json").read_text())["event_types"]
    for ours, theirs in (("view", "pv"), ("add_to_cart", "cart"), ("favourite", "fav"), ("purchase", "buy")):
        kinds[theirs] += told[ours]
    assert kinds == {"pv": 75_872, "cart": 4_497, "fav": 2_356, "buy": 1_750}
    events = pq.read_table(tmp_path / "events")
    items = set(events["item_id"].unique().to_pylist()) | {values["item_id"] for values in refused}
    categories = set(events["category"].unique().to_pylist()) | {values["category_id"] for values in refused}
    assert (len(items), len(categories)) == (55_368, 2_914)


def test_rees46(tmp_path):
    report = ingest(settings_of("rees46"), tmp_path, path=published("rees46", "2019-Oct.csv"))
    assert report.rows_in == 17_434  # lines of the file without its header
    assert report.quarantined == {"duplicate": 5}
    events = pq.read_table(tmp_path / "events")
    assert pc.count_distinct(events["session_id"]).as_py() == 5_066
    assert (report.customers, report.distinct_items) == (4_504, 6_493)
    assert (report.first, report.last) == ("2019-10-01T00:00:00+00:00", "2019-10-01T02:50:00+00:00")
    purchases = events.filter(pc.equal(events["event_type"], "purchase"))
    assert purchases.num_rows == 214
    assert purchases["revenue"].null_count == 0


def test_online_shoppers(tmp_path):
    file = published("online_shoppers", "online_shoppers_intention.csv")
    report = ingest(settings_of("online_shoppers"), tmp_path, path=file)
    assert (report.rows_in, report.table_rows, report.events, report.quarantined) == (12_330, 12_330, 0, {})
    assert any(fact.startswith("125 rows repeat an earlier one") for fact in report.odd)
    card = json.loads((tmp_path / "sessions" / "card.json").read_text())
    assert card["label_counts"] == {"False": 10_422, "True": 1_908}
    assert pq.read_table(tmp_path / "sessions" / "part-0.parquet")["Revenue"].type == "bool"
