"""The parts that adapters share: row texts, registry, unusual days, the command's own imports."""

import hashlib
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import training.adapters
from feature_repo.errors import SettingsError
from tests.sources import log_of, settings_of, write_rows, write_source
from training.adapters import adapters, ingest
from training.adapters.row_text import row_texts, rows_as_json, texts_as_json

WHO_AND_WHEN = {"user_id": "who", "event_timestamp": "when"}

cells = st.one_of(st.none(), st.text(max_size=5), st.sampled_from(["\x1f", "\\", "\\N", "\\u", "\\\\u\x1f", ""]))


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=20))
@settings(deadline=None)
def test_a_row_can_be_had_back_from_its_text(rows):
    table = pa.table(
        {"a": pa.array([a for a, _ in rows], pa.string()), "b": pa.array([b for _, b in rows], pa.string())}
    )
    texts = row_texts(table).to_pylist()
    told = texts_as_json(pa.array(texts, pa.string()), ["a", "b"]).to_pylist()
    assert [tuple(json.loads(row).values()) for row in told] == rows
    assert len(set(texts)) == len(set(rows))


@given(st.lists(st.tuples(st.one_of(st.none(), st.text(max_size=4)), st.text("ab ", max_size=4)), max_size=6))
def test_a_row_as_json_is_what_python_writes(rows):
    first, second = ([row[place] for row in rows] for place in (0, 1))
    table = pa.table({"a": pa.array(first, pa.string()), 'b"': pa.array(second, pa.string())})
    for turned in (table, table.select(['b"', "a"]), table.select(["a"]), table.select(['b"']), table.slice(1)):
        expected = [json.dumps(row, ensure_ascii=False) for row in turned.to_pylist()]
        assert rows_as_json(turned).to_pylist() == expected


def test_the_event_id_is_the_md5_of_the_row_text(tmp_path):
    rows = [{"who": "001", "when": "2024-05-01", "price": 1.5, "n": None}]
    columns = WHO_AND_WHEN
    file = write_rows(tmp_path / "x.parquet", rows)
    ingest(settings_of("table", columns=columns), tmp_path / "out", path=file)
    expected = hashlib.md5(b"001\x1f2024-05-01\x1f1.5\x1f\\N", usedforsecurity=False).hexdigest()
    assert log_of(tmp_path / "out")[0]["event_id"] == expected


def test_both_adapters_are_found():
    assert {"ta_feng", "table"} <= set(adapters())


def test_a_module_that_is_dropped_in_is_found(tmp_path, monkeypatch):
    (tmp_path / "corner_shop.py").write_text(
        "from dataclasses import replace\nfrom training.adapters.table import ADAPTER as other\n"
        "ADAPTER = replace(other, description=replace(other.description, name='corner_shop'))\n"
    )
    monkeypatch.setattr(training.adapters, "__path__", [*training.adapters.__path__, str(tmp_path)])
    assert "corner_shop" in adapters()
    sys.modules.pop("training.adapters.corner_shop")


def test_an_unknown_adapter_lists_the_known(tmp_path):
    with pytest.raises(SettingsError, match=r"Unknown adapter: got 'tafeng'; expected one of .*ta_feng, table"):
        ingest(settings_of("tafeng"), tmp_path / "out")


def test_the_path_in_the_settings_belongs_to_the_adapter_in_the_settings(tmp_path):
    settings = settings_of("ta_feng", path=tmp_path / "elsewhere.csv")
    with pytest.raises(SettingsError, match="lacks user_id, event_timestamp"):
        ingest(settings, tmp_path / "out", adapter="table")


def test_the_log_that_is_replaced_is_told(tmp_path):
    out, row = tmp_path / "out", {"who": "a", "when": "2024-05-01T00:00:00"}
    one, other = (write_rows(tmp_path / name, [row]) for name in ("one.parquet", "other.parquet"))
    told = [ingest(settings_of("table", columns=WHO_AND_WHEN), out, path=file).replaced for file in (one, one, other)]
    assert told == [None, None, ("table", "one.parquet")]
    taobao = write_source("taobao_userbehavior", tmp_path)
    assert ingest(settings_of("taobao_userbehavior"), out, path=taobao).replaced == ("table", "other.parquet")


@pytest.mark.parametrize("sample", [0.0, -1.0, 1.5, float("nan")])
def test_a_sample_that_is_no_share(tmp_path, sample):
    with pytest.raises(SettingsError, match="sample is not a share of the customers: got"):
        ingest(settings_of("ta_feng"), tmp_path / "out", sample=sample)


def test_unusual_days_are_found_by_their_neighbours(tmp_path):
    counts = {day: 20 for day in range(1, 32)} | {10: 1, 11: 0, 20: 200}
    rows = [
        {"who": f"{n}", "when": f"2024-05-{day:02d}T0{n % 10}:00:00"}
        for day, count in counts.items()
        for n in range(count)
    ]
    rows = [row | {"n": n} for n, row in enumerate(rows)]
    file = write_rows(tmp_path / "x.parquet", rows)
    report = ingest(settings_of("table", columns=WHO_AND_WHEN), tmp_path / "out", path=file)
    thin, heavy = report.odd
    assert "thins out" in thin
    assert thin.endswith("on 2024-05-10 to 2024-05-11 (2%).")
    assert "swells" in heavy
    assert heavy.endswith("on 2024-05-20 (1000%).")


@pytest.mark.parametrize(("bad", "told"), [(4, False), (6, True)])
def test_many_refused_rows_are_odd(tmp_path, bad, told):
    """A twentieth of the rows with a decimal comma: the shop's purchases may be missing, and the command succeeded."""
    rows = [{"who": f"{n}", "when": "2024-05-01", "total": "79,26" if n < bad else "79.26"} for n in range(120)]
    file = write_rows(tmp_path / "x.parquet", rows)
    report = ingest(settings_of("table", columns=WHO_AND_WHEN | {"revenue": "total"}), tmp_path / "out", path=file)
    assert report.quarantined == {"not_a_number": bad}
    found = [fact for fact in report.odd if "in quarantine" in fact]
    expected = (
        "6 of 120 rows (5.0%) are in quarantine, 6 of them as `not_a_number`: a cell holds something else where a "
        "number belongs. Look into quarantine/ whether they should be."
    )
    assert found == ([expected] if told else [])


def odd_of(folder, *money):
    rows = [{"who": f"{n}", "when": f"2024-05-01T{n:02d}:00", "total": 5.0, "money": m} for n, m in enumerate(money)]
    columns = WHO_AND_WHEN | {"revenue": "total", "currency": "money"}
    settings = settings_of("table", columns=columns)
    report = ingest(settings, folder / "out", path=write_rows(folder / "x.parquet", rows))
    return [fact for fact in report.odd if "added up" in fact]


def test_several_currencies_are_told(tmp_path):
    (told,) = odd_of(tmp_path, "EUR", "JPY", "EUR", None)
    assert told.startswith("Amounts in EUR (2), JPY (1) and no currency (1) are added up as they are: ")
    assert told in (tmp_path / "out" / "data_card.md").read_text()
    (told,) = odd_of(tmp_path, *("AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "FFF"))
    assert told.startswith("Amounts in FFF (2), AAA (1), BBB (1), CCC (1), DDD (1) and 1 more are added up")


def test_one_currency_is_nothing_odd(tmp_path):
    assert odd_of(tmp_path, "EUR", "EUR") == []
    assert odd_of(tmp_path, "", "") == []


def test_the_report_is_json(tmp_path):
    file = write_rows(tmp_path / "x.parquet", [{"who": "1", "when": "2024-05-01"}])
    report = ingest(settings_of("table", columns=WHO_AND_WHEN), tmp_path / "out", path=file)
    assert json.loads(json.dumps(report.to_json()))["events"] == 1


def test_importing_the_package_does_not_import_pandas_or_pandera():
    code = "import sys, training.adapters as a; a.adapters(); print(sorted({'pandas', 'pandera'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_validation_leaves_the_environment_and_so_pyarrows_time_zones_alone(tmp_path):
    file = write_rows(tmp_path / "x.parquet", [{"who": "1", "when": "2024-05-01"}])
    ingest(settings_of("table", columns=WHO_AND_WHEN), tmp_path / "out", path=file)
    assert not {"PYARROW_IGNORE_TIMEZONE", "SPARK_LOCAL_IP"} & set(os.environ)
    moment = datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert pa.array([moment]).cast(pa.int64()).to_pylist() == [int(moment.timestamp()) * 1_000_000]
