"""Time rules, what readers import, and files and servers that are not as they should be."""

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intent_stores.circuit_breaker import CircuitBreaker
from intent_stores.errors import ConfigurationError, OnlineStoreUnavailableError
from intent_stores.packed_codec import NEVER, RowTimes, decode_rows, encode_rows
from intent_stores.packed_keys import entity_keys
from intent_stores.packed_schema import PackedSchema
from intent_stores.packed_sqlite import PackedSqliteFile, sqlite_reader
from intent_stores.packed_view import PackedView, take_rows, view_columns
from intent_stores.ragged_column import Ragged

ROOT = Path(__file__).parents[3]
VIEW = PackedView("stats", {"score": "Float64", "tags": "Array(String)"}, ("user",), ttl_us=100)


def rows(scores, times):
    tags = Ragged(np.array([str(score) for score in scores], object), np.arange(len(scores) + 1))
    return encode_rows(VIEW.schema, {"score": scores, "tags": tags}, times)


@pytest.mark.parametrize(
    ("event", "created", "status", "reason", "age"),
    [
        (1000, None, "fresh", None, 0),
        (900, None, "fresh", None, 100),
        (899, None, "stale", "expired", 101),
        (1001, None, "missing", "newer than at", -1),
        (950, 1000, "fresh", None, 50),
        (950, 1001, "missing", "newer than at", -1),
        (899, 1001, "missing", "newer than at", -1),
    ],
)
def test_what_counts_at_a_moment(event, created, status, reason, age) -> None:
    found = view_columns(VIEW, rows([1.5], RowTimes.of([event], created)), at_us=1000)
    assert (found.status[0], found.reason[0], found.age_us[0]) == (status, reason, age)
    assert found.valid["score"].tolist() == [status == "fresh"]
    assert found.event_us[0] == (NEVER if status == "missing" else event)
    assert found.values["tags"][0].tolist() == (["1.5"] if status == "fresh" else [])


@given(
    event=st.integers(890, 1010),
    created=st.none() | st.integers(890, 1010),
    at=st.integers(950, 1010),
    ttl=st.sampled_from([0, 50, 100]),
    keep_stale=st.booleans(),
    null=st.booleans(),
)
def test_a_row_alone_is_answered_as_it_is_among_others(event, created, at, ttl, keep_stale, null) -> None:
    view = PackedView(VIEW.name, VIEW.fields, VIEW.join_keys, ttl)
    score = np.array([None if null else 1.5], object)
    [packed] = rows(score, RowTimes.of([event], created))
    alone = view_columns(view, [packed], at, keep_stale)
    among = view_columns(view, [packed, None], at, keep_stale)
    for field in ("status", "reason", "age_us", "event_us"):
        assert getattr(alone, field).tolist() == getattr(among, field)[:1].tolist()
    for name in VIEW.fields:
        assert alone.valid[name].tolist() == among.valid[name][:1].tolist()
    assert alone.values["tags"][0].tolist() == among.values["tags"][0].tolist()
    np.testing.assert_array_equal(alone.values["score"], among.values["score"][:1])


OF_EACH_KIND = {
    "flag": ("Bool", True),
    "small": ("Int32", 3),
    "large": ("Int64", 2**53 + 1),
    "half": ("Float32", 0.5),
    "score": ("Float64", 1.25),
    "at": ("UnixTimestamp", 1_700_000_000_000_000),
    "word": ("String", "ü"),
    "raw": ("Bytes", b"\0"),
    "counts": ("Array(Int64)", [1, 2]),
    "words": ("Array(String)", ["a", ""]),
}


@given(st.sets(st.sampled_from(sorted(OF_EACH_KIND))))
def test_nulls_of_any_kind_in_a_row_alone_are_those_of_a_row_among_others(absent) -> None:
    schema = PackedSchema({name: kind for name, (kind, _) in OF_EACH_KIND.items()})
    columns = {}
    for name, (kind, value) in OF_EACH_KIND.items():
        if kind.startswith("Array"):
            columns[name] = Ragged(np.array(value, object if "String" in kind else np.int64), np.array([0, 2]))
        else:
            columns[name] = np.array([value], object if kind in ("String", "Bytes") else None)
    valid = {name: np.array([name not in absent]) for name in columns}
    [packed] = encode_rows(schema, columns, RowTimes.of([7], 8), valid)
    alone, among = decode_rows(schema, [packed]), decode_rows(schema, [packed, None])
    for name, column in alone.values.items():
        assert alone.valid[name].tolist() == [name not in absent] == among.valid[name][:1].tolist()
        other = among.values[name]
        if isinstance(column, Ragged):
            assert (column.values.dtype, column[0].tolist()) == (other.values.dtype, other[0].tolist())
        else:
            assert column.dtype == other.dtype
            np.testing.assert_array_equal(column, other[:1])
    assert [times.tolist() for times in alone.times] == [times[:1].tolist() for times in among.times]


def test_stale_values_are_there_for_who_asks() -> None:
    packed = rows([1.5, 2.5], RowTimes.of([899, 1001]))
    found = view_columns(VIEW, packed, 1000, keep_stale=True)
    assert found.status.tolist() == ["stale", "missing"]
    assert found.valid["score"].tolist() == [True, False]


def test_without_a_time_to_live_nothing_expires() -> None:
    view = PackedView(VIEW.name, VIEW.fields, VIEW.join_keys)
    assert view_columns(view, rows([1.5], RowTimes.of([-(2**62)])), 2**50).status.tolist() == ["fresh"]


def test_a_view_is_plain_data() -> None:
    assert PackedView.from_dict(VIEW.as_dict()).as_dict() == VIEW.as_dict()
    with pytest.raises(ConfigurationError, match="as_dict"):
        PackedView.from_dict({"name": "stats"})
    with pytest.raises(ConfigurationError, match="Complex"):
        PackedView.from_dict({**VIEW.as_dict(), "fields": {"x": "Complex"}})


def test_rows_of_a_column_in_another_order() -> None:
    lists = Ragged(np.arange(6), np.array([0, 1, 1, 6]))
    taken = take_rows(lists, np.array([2, 0, 1, 2]))
    assert [taken[row].tolist() for row in range(4)] == [[1, 2, 3, 4, 5], [0], [], [1, 2, 3, 4, 5]]
    assert take_rows(np.array([5, 6]), np.array([1, 0])).tolist() == [6, 5]
    with pytest.raises(IndexError):
        lists[3]


MODULES = ["packed_codec", "packed_view", "packed_reader", "packed_keys", "packed_sqlite", "packed_redis"]


@pytest.mark.parametrize("module", MODULES)
def test_readers_import_neither_feast_nor_protobuf(module: str) -> None:
    if module == "packed_redis":
        pytest.importorskip("redis")
    heavy = {"feast", "google", "pandas", "pyarrow", "duckdb", "pydantic", "feature_repo", "training", "services"}
    code = f"import sys, intent_stores.{module}; print(sorted({heavy!r} & {{n.split('.')[0] for n in sys.modules}}))"
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def written(path: Path, scores=(1.5,), times=(1000,)) -> PackedSqliteFile:
    store = PackedSqliteFile(path, "p")
    users = [f"u{place}" for place in range(len(scores))]
    store.write("stats", entity_keys(["user"], {"user": users}), rows(list(scores), RowTimes.of(list(times))))
    return store


def test_one_read_takes_each_view_by_its_own_keys(tmp_path: Path) -> None:
    written(tmp_path / "x.db", [1.5, 2.5], [1000, 950])
    shop = PackedView("shop", {"open": "Bool"})
    reader = sqlite_reader(tmp_path / "x.db", "p")
    moment = datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)
    found = reader.read_columns([VIEW, shop], {"user": ["u1", "u0", "u9"], "other": [1]}, at=moment)
    assert found["stats"].values["score"].tolist()[:2] == [2.5, 1.5]
    assert found["stats"].age_us.tolist() == [50, 0, -1]
    assert found["shop"].status.tolist() == ["missing"]
    assert found["shop"].reason.tolist() == ["the store does not know the view"]
    assert reader.counts == {("stats", "absent"): 1, ("shop", "the store does not know the view"): 1}
    assert reader.trouble() is None
    reader.close()


def test_more_keys_than_one_statement_takes(tmp_path: Path) -> None:
    written(tmp_path / "x.db", np.arange(2500.0), [1000] * 2500)
    users = [f"u{place}" for place in range(2500)][::-1]
    found = sqlite_reader(tmp_path / "x.db", "p").read_columns([VIEW], {"user": users}, at=1000)["stats"]
    assert found.values["score"].tolist() == list(np.arange(2500.0)[::-1])


def test_no_file_a_broken_file_and_a_replaced_file(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    reader = sqlite_reader(path, "p")
    found = reader.read_columns([VIEW], {"user": ["u0"]}, at=1000)["stats"]
    assert found.status.tolist() == ["missing"]
    assert "no file" in found.reason[0]
    assert not path.exists()
    written(path)
    assert reader.read_columns([VIEW], {"user": ["u0"]}, at=1000)["stats"].status.tolist() == ["fresh"]
    (tmp_path / "new.db").write_bytes(b"this is no database" * 100)
    for name in ("x.db-wal", "x.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "new.db").replace(path)
    assert "not a database" in str(reader.trouble())
    with pytest.raises(OnlineStoreUnavailableError, match="not a database"):
        written(path)
    path.unlink()
    written(path, [3.5])
    assert reader.read_columns([VIEW], {"user": ["u0"]}, at=1000)["stats"].values["score"].tolist() == [3.5]


def test_a_full_disk_and_a_read_only_folder_leave_the_store_readable(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "x.db"
    written(path)
    limited = sqlite3.connect

    def small(*arguments, **options):
        connection = limited(*arguments, **options)
        if not options.get("uri"):
            connection.execute("PRAGMA max_page_count = 5")  # what SQLite says then is what a full disk says
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(OnlineStoreUnavailableError, match="full"):
        written(path, np.arange(5000.0), [2000] * 5000)
    monkeypatch.undo()
    found = sqlite_reader(path, "p").read_columns([VIEW], {"user": ["u0", "u1"]}, at=1000)["stats"]
    assert found.status.tolist() == ["fresh", "missing"]
    assert found.values["score"][0] == 1.5
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OnlineStoreUnavailableError, match="nothing was stored"):
        written(tmp_path / "file" / "x.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    written(tmp_path / "x.db")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OnlineStoreUnavailableError, match="writable"):
            written(tmp_path / "x.db", [2.5], [2000])
        found = sqlite_reader(tmp_path / "x.db", "p").read_columns([VIEW], {"user": ["u0"]}, at=1000)
        assert found["stats"].values["score"].tolist() == [1.5]
    finally:
        tmp_path.chmod(0o700)


def test_the_breaker_opens_tries_once_and_closes() -> None:
    now = [0.0]
    breaker = CircuitBreaker(failures=2, pause_seconds=1.0, clock=lambda: now[0])
    breaker.failed("down")
    assert breaker.may_ask()
    breaker.failed("down")
    assert [breaker.may_ask(), breaker.why] == [False, "down"]
    now[0] = 1.0
    assert [breaker.may_ask(), breaker.may_ask()] == [True, False]
    breaker.failed("down")
    now[0] = 1.5
    assert not breaker.may_ask()
    now[0] = 2.0
    assert breaker.may_ask()
    breaker.succeeded()
    assert breaker.may_ask()
    assert breaker.why is None


def test_names_that_differ_in_capitals_alone_are_different_tables(tmp_path: Path) -> None:
    names = [(project, view) for project in ("shop", "Shop", "$shop") for view in ("stats", "staTs", "sta$ts", "sta/f")]
    for number, (project, view) in enumerate(names):
        PackedSqliteFile(tmp_path / "online.db", project).write(view, [b"key"], [b"%d" % number])
    for number, (project, view) in enumerate(names):
        file = PackedSqliteFile(tmp_path / "online.db", project)
        assert file.fetch([(view, [b"key"])]).values == [[b"%d" % number]]
    PackedSqliteFile(tmp_path / "online.db", "Shop").drop("stats")
    assert PackedSqliteFile(tmp_path / "online.db", "shop").fetch([("stats", [b"key"])]).values == [[b"0"]]


def test_who_writes_first_waits_for_somebody_who_makes_the_file_just_now(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE theirs (a)")
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO theirs VALUES (1)")
        ends = threading.Timer(0.2, lambda: other.execute("COMMIT"))
        ends.start()
        PackedSqliteFile(tmp_path / "x.db", "p").write("stats", [b"key"], [b"%060d" % 1])
        ends.join()
    assert PackedSqliteFile(tmp_path / "x.db", "p").count("stats") == 1


def test_who_writes_first_does_not_wait_for_ever(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE theirs (a)")
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO theirs VALUES (1)")
        with pytest.raises(OnlineStoreUnavailableError, match="locked"):
            PackedSqliteFile(tmp_path / "x.db", "p", busy_timeout_seconds=0.05).write("stats", [b"key"], [b"%060d" % 1])
