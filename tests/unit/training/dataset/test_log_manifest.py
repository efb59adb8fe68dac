"""The manifest of a log: tables of two ingests are told apart, whatever was killed when."""

import json

import pyarrow.parquet as pq
import pytest

from feature_repo.errors import SourceDataError
from tests.sources import ROWS, source_settings, write_source
from training.adapters import ingest
from training.dataset import log_manifest
from training.dataset.log_manifest import LOG_MANIFEST, require_whole_log

TABLES = ("events", "users", "items", "quarantine")


@pytest.fixture
def out(tmp_path):
    ingest(source_settings("table"), tmp_path / "out", path=write_source("table", tmp_path))
    return tmp_path / "out"


def ingest_other_rows(out, rows=ROWS[:3]):
    ingest(source_settings("table"), out, path=write_source("table", out.parent, rows))


def test_a_whole_log_has_a_fingerprint_of_its_content(out):
    first = require_whole_log(out)
    assert len(first) == 64
    ingest_other_rows(out, ROWS)
    assert require_whole_log(out) == first
    ingest_other_rows(out)
    assert require_whole_log(out) != first


def test_the_manifest_says_what_the_log_was_made_with(out):
    told = json.loads((out / LOG_MANIFEST).read_text())
    assert set(told["files"]) == {f"{name}/part-0.parquet" for name in TABLES}
    assert told["ingest"]["adapter"] == "table"
    assert told["ingest"]["columns"]["user_id"] == "who"
    assert told["ingest"]["delay_hours"] == 0.0
    assert str(out.parent) not in (out / LOG_MANIFEST).read_text()


@pytest.mark.parametrize("swapped", [1, 2, 3])
def test_an_ingest_killed_between_two_tables_is_found(out, monkeypatch, swapped):
    from training import atomic

    swap, done = atomic._swap, []

    def die_after(fresh, target):
        if len(done) == swapped:
            raise KeyboardInterrupt
        swap(fresh, target)
        done.append(target)

    monkeypatch.setattr(atomic, "_swap", die_after)
    with pytest.raises(KeyboardInterrupt):
        ingest_other_rows(out, (*ROWS[1:], ROWS[1]))
    assert len(done) == swapped
    with pytest.raises(SourceDataError, match=r"is not whole: got .*\.parquet .* Run `intent ingest` again"):
        require_whole_log(out)


def test_a_log_without_a_manifest(out):
    (out / LOG_MANIFEST).unlink()
    with pytest.raises(SourceDataError, match=r"has no log\.json.*Run `intent ingest` again"):
        require_whole_log(out)


@pytest.mark.parametrize("name", TABLES)
def test_a_changed_a_missing_and_an_extra_file_are_named(out, name):
    part = out / name / "part-0.parquet"
    (out / name / "part-1.parquet").write_bytes(part.read_bytes())
    with pytest.raises(SourceDataError, match=f"got {name}/part-1.parquet missing or other"):
        require_whole_log(out)
    (out / name / "part-1.parquet").unlink()
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(SourceDataError, match=f"got {name}/part-0.parquet missing or other"):
        require_whole_log(out)
    part.unlink()
    with pytest.raises(SourceDataError, match=f"got {name}/part-0.parquet missing or other"):
        require_whole_log(out)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1, "files": {}}', '{"format": 2, "files": 3}'])
def test_a_damaged_manifest(out, content):
    (out / LOG_MANIFEST).write_text(content)
    with pytest.raises(SourceDataError, match="is not a manifest of a log"):
        require_whole_log(out)
    (out / LOG_MANIFEST).write_text('{"format": 2, "files": {}}')
    with pytest.raises(SourceDataError, match="is not whole"):
        require_whole_log(out)


PART = "events/stream-000000000001-000000000001.parquet"


@pytest.mark.parametrize(
    ("manifest", "says", "kept"),
    [
        (json.dumps({"format": 1, "files": {PART: ""}}), "but format 1, that of an earlier version", True),
        ("{}", "is not a manifest of a log", False),  # what no manifest names is written again from the outbox
    ],
)
def test_a_log_of_an_earlier_version_is_refused_and_can_be_ingested_again(out, manifest, says, kept):
    pq.write_table(pq.read_table(out / "events").slice(0, 1).drop_columns(["list_price"]), out / PART)
    (out / LOG_MANIFEST).write_text(manifest)
    with pytest.raises(SourceDataError, match=says):
        require_whole_log(out)
    ingest_other_rows(out)
    require_whole_log(out)
    assert (out / PART).exists() == kept


def test_the_manifest_comes_last(out, monkeypatch):
    written = []
    monkeypatch.setattr(log_manifest, "write_json", lambda path, value: written.append(path.name))
    (out / LOG_MANIFEST).unlink()
    ingest_other_rows(out)
    assert written == [LOG_MANIFEST]
    assert (out / "data_card.json").exists()
