import gzip
import json
import os
import signal
import stat
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.errors import SettingsError
from feature_repo.transforms.ragged import Ragged
from services import served_log
from services.hashed_ids import id_hasher
from services.served_lines import ServedBatch, answer_line, model_input_columns, model_inputs
from services.served_log import ServedLog, open_served_log, rows_in_sample

VIEWS = {
    "user_history": {"join_keys": ["user_id"], "fields": {"spent": "Float64", "last_at": "Int64", "area": "String"}},
    "user_events": {"join_keys": ["user_id"], "fields": {"event_at": "Array(Int64)", "price": "Array(Float64)"}},
}


KEY = {"INTENT_ID_KEY": "a key of this test alone"}


def batch(*users: str, spent: float = 1.5) -> ServedBatch:
    n = len(users)
    offsets = np.arange(n + 1, dtype=np.int64) * 2
    return ServedBatch(
        request_id="r",
        at_us=983_404_800_000_000,
        keys={"user_id": list(users)},
        model="purchase_intent:1",
        columns={
            "user_history": {
                "spent": np.full(n, spent),
                "last_at": np.array([np.nan if u == "new" else 9e14 for u in users]),
                "area": np.array([None if u == "new" else "A1" for u in users], object),
            },
            "user_events": {
                "event_at": Ragged(np.arange(2 * n, dtype=np.int64), offsets),
                "price": Ragged(np.array([0.1, np.nan] * n), offsets),
            },
        },
        status={"user_history": ["fresh"] * n},
        age_seconds={"user_history": [np.nan] * n},
        probability=np.full(n, 0.25),
    )


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for part in sorted(folder.iterdir()) for line in gzip.open(part)]


def test_a_line_says_what_the_model_could_see(tmp_path: Path) -> None:
    log = ServedLog(tmp_path, "shop", VIEWS)
    log.offer(batch("old", "new"))
    log.close()
    header, old, new = lines(tmp_path)
    assert header["format"] == 1
    assert header["service"] == "shop"
    assert header["views"] == VIEWS
    assert old == {
        "request": "r",
        "of": 2,
        "t": 983_404_800_000_000,
        "keys": {"user_id": "old"},
        "model": "purchase_intent:1",
        "answered": True,
        "probability": 0.25,
        "views": {
            "user_history": {
                "status": "fresh",
                "age_seconds": None,
                "values": {"spent": 1.5, "last_at": 900_000_000_000_000, "area": "A1"},
            },
            "user_events": {"values": {"event_at": [0, 1], "price": [0.1, None]}},
        },
    }
    assert isinstance(old["views"]["user_history"]["values"]["last_at"], int)
    assert new["views"]["user_history"]["values"] == {"spent": 1.5, "last_at": None, "area": None}


@given(st.floats(allow_nan=False), st.text(st.characters(exclude_categories=["Cs"])))
@settings(deadline=None)
def test_numbers_and_texts_come_back_bit_for_bit(value: float, user: str) -> None:
    line = json.loads(answer_line(batch(user, spent=value), 0, VIEWS))
    assert struct.pack("d", line["views"]["user_history"]["values"]["spent"]) == struct.pack("d", value)
    assert line["keys"]["user_id"] == user


def test_what_a_model_is_given_fits_its_description() -> None:
    from feature_repo.transforms.customer import customer_features

    columns = model_input_columns(customer_features({}, np.array([983_404_800_000_000])))
    described = model_inputs()["fields"]
    assert columns.keys() == described.keys()
    one = ServedBatch("r", 0, {"user_id": ["u"]}, "m", {"customer_features": columns})
    values = json.loads(answer_line(one, 0, {"customer_features": model_inputs()}))["views"]["customer_features"]
    assert values["values"].keys() == described.keys()


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        log = ServedLog(tmp_path / "served", "shop", VIEWS)
        log.offer(batch("u"))
        log.close()
    finally:
        os.umask(old)
    (part,) = (tmp_path / "served").iterdir()
    assert stat.S_IMODE(part.stat().st_mode) == 0o600
    assert stat.S_IMODE(part.parent.stat().st_mode) == 0o700


def test_the_sample_takes_all_of_a_customer_or_nothing() -> None:
    users = {"user_id": [f"{number:06d}" for number in range(20_000)]}
    taken = rows_in_sample(users, 0.1)
    assert len(taken) == pytest.approx(2000, rel=0.15)
    assert taken == rows_in_sample(users, 0.1)
    assert taken == [row for row in range(20_000) if rows_in_sample({"user_id": [users["user_id"][row]]}, 0.1)]
    assert set(taken) < set(rows_in_sample(users, 0.3)) < set(rows_in_sample(users, 1.0))


def test_the_sample_of_a_ranking_is_one_of_pairs_as_it_was_in_earlier_versions() -> None:
    items = [f"{number}" for number in range(50)]
    taken = rows_in_sample({"user_id": ["000001"], "item_id": items}, 0.1)
    assert taken == [2, 25, 34, 46, 48]
    assert taken != rows_in_sample({"user_id": ["000002"], "item_id": items}, 0.1)
    assert taken == [row for row in range(50) if rows_in_sample({"user_id": ["000001"], "item_id": [items[row]]}, 0.1)]


def test_parts_are_rotated_by_size(tmp_path: Path) -> None:
    log = ServedLog(tmp_path, "shop", VIEWS, part_bytes=1)
    for number in range(3):
        log.offer(batch(str(number)))
        assert log.flush()
    log.close()
    assert len(list(tmp_path.iterdir())) == 3
    assert sorted(line["keys"]["user_id"] for line in lines(tmp_path) if "t" in line) == ["0", "1", "2"]


def test_a_slow_disk_drops_rows_and_blocks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on, writing = threading.Event(), threading.Event()
    append = served_log._Part.append

    def slowly(self, content):
        writing.set()
        assert may_go_on.wait(60)
        append(self, content)

    monkeypatch.setattr(served_log._Part, "append", slowly)
    monkeypatch.setattr(served_log, "_LINES_AT_ONCE", 1)
    log = ServedLog(tmp_path, "shop", VIEWS, waiting=4)
    log.offer(batch("first"))
    assert writing.wait(60)
    log.offer(batch(*(str(number) for number in range(10))))  # returns although nothing can be written
    assert log.dropped == 6
    may_go_on.set()
    log.close()
    assert [line["dropped"] for line in lines(tmp_path) if "dropped" in line] == [6]
    assert sum("t" in line for line in lines(tmp_path)) == 5


def test_a_full_disk_costs_rows_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = ServedLog(tmp_path, "shop", VIEWS)
    log.offer(batch("before"))
    assert log.flush()
    write = os.write

    def full(file, data):
        write(file, bytes(data)[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    log.offer(batch("lost"))
    assert log.flush()
    monkeypatch.undo()
    log.offer(batch("after"))
    log.close()
    assert log.dropped == 1
    assert [line["keys"]["user_id"] for line in lines(tmp_path) if "t" in line] == ["before", "after"]
    assert [line["dropped"] for line in lines(tmp_path) if "dropped" in line] == [1]


def test_a_row_that_cannot_be_written_does_not_end_the_log(tmp_path: Path) -> None:
    log = ServedLog(tmp_path, "shop", VIEWS)
    log.offer(batch("strange", spent=object()))
    log.offer(batch("usual"))
    log.close()
    assert [line["keys"]["user_id"] for line in lines(tmp_path) if "t" in line] == ["usual"]
    assert log.dropped == 1


def test_what_comes_after_the_end_is_dropped(tmp_path: Path) -> None:
    log = ServedLog(tmp_path, "shop", VIEWS)
    log.close()
    log.offer(batch("late"))
    assert log.dropped == 1
    assert list(tmp_path.iterdir()) == []


def test_a_killed_service_leaves_what_was_flushed(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from services.served_log import ServedLog
from tests.unit.services.test_served_log import VIEWS, batch
log = ServedLog(Path({str(tmp_path)!r}), "shop", VIEWS)
log.offer(batch("written"))
assert log.flush()
log.offer(batch("perhaps not"))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == -signal.SIGKILL
    assert lines(tmp_path)[1]["keys"]["user_id"] == "written"


def test_off_unless_asked_for(tmp_path: Path) -> None:
    assert open_served_log({}, "shop", VIEWS) is None
    assert open_served_log({"INTENT_SERVED_LOG": ""}, "shop", VIEWS) is None
    log = open_served_log({"INTENT_SERVED_LOG": str(tmp_path), "INTENT_SERVED_SAMPLE": "0.5", **KEY}, "shop", VIEWS)
    assert log is not None


@pytest.mark.parametrize("sample", ["0", "-1", "1.5", "nan", "much", ""])
def test_a_strange_sample_is_refused(tmp_path: Path, sample: str) -> None:
    with pytest.raises(SettingsError, match="expected a share above 0"):
        open_served_log({"INTENT_SERVED_LOG": str(tmp_path), "INTENT_SERVED_SAMPLE": sample, **KEY}, "shop", VIEWS)


def test_a_relative_folder_is_refused() -> None:
    with pytest.raises(SettingsError, match="absolute"):
        open_served_log({"INTENT_SERVED_LOG": "artifacts/served"}, "shop", VIEWS)


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be made"):
        ServedLog(tmp_path / "file" / "served", "shop", VIEWS)


def test_customers_stand_under_pseudonyms_and_there_is_no_log_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="without a key for user ids"):
        open_served_log({"INTENT_SERVED_LOG": str(tmp_path)}, "shop", VIEWS)
    log = open_served_log({"INTENT_SERVED_LOG": str(tmp_path), "INTENT_SERVED_SAMPLE": "1", **KEY}, "shop", VIEWS)
    assert log is not None
    log.offer(batch("01104905"))
    log.close()
    hasher = id_hasher(KEY)
    assert hasher is not None
    header, answer = lines(tmp_path)
    assert header["pseudonyms"] == {"user_id": hasher.check}
    assert answer["keys"] == {"user_id": hasher.pseudonym("01104905")}
    assert b"01104905" not in b"".join(gzip.decompress(part.read_bytes()) for part in tmp_path.iterdir())


def test_what_a_ranking_knows_of_its_customer_is_in_every_line(tmp_path: Path) -> None:
    one = batch("old")
    items = {"item_demand": {"join_keys": ["item_id"], "fields": {"price": "Float64"}}}
    columns = one.columns | {"item_demand": {"price": np.array([2.5, np.nan])}}
    keys, both = {"user_id": ["old"], "item_id": ["i1", "i2"]}, np.array([0.5, 0.75])
    log = ServedLog(tmp_path, "shop", VIEWS | items)
    log.offer(ServedBatch("r", 0, keys, "m:1", columns, one.status, one.age_seconds, both))
    log.close()
    _, first, second = lines(tmp_path)
    assert [line["keys"] for line in (first, second)] == [{"user_id": "old", "item_id": f"i{n}"} for n in (1, 2)]
    assert [line["views"]["item_demand"]["values"]["price"] for line in (first, second)] == [2.5, None]
    assert first["views"]["user_events"] == second["views"]["user_events"]
    assert first["views"]["user_events"]["values"]["price"] == [0.1, None]
    assert [(line["of"], line["probability"]) for line in (first, second)] == [(2, 0.5), (2, 0.75)]
