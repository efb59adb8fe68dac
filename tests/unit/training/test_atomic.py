"""Writes that are whole or not at all, also when the process dies in the middle."""

import multiprocessing
import os
import signal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training import atomic

TWO_STEPS = pytest.mark.parametrize("at_once", [True, False], ids=["exchange", "two steps"])


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "bundle"
    with atomic.replace_folder(folder) as fresh:
        (fresh / "name").write_text("old")
    return folder


def replace(target, content="new"):
    with atomic.replace_folder(target) as fresh:
        (fresh / "name").write_text(content)


def without_exchange(monkeypatch, at_once):
    if not at_once:
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)


@TWO_STEPS
def test_a_folder_is_replaced_and_nothing_is_left_beside_it(target, monkeypatch, at_once):
    without_exchange(monkeypatch, at_once)
    (target / "of the old one").touch()
    replace(target)
    assert [path.name for path in target.iterdir()] == ["name"]
    assert (target / "name").read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


@TWO_STEPS
def test_an_error_leaves_the_old_folder(target, monkeypatch, at_once):
    without_exchange(monkeypatch, at_once)
    with pytest.raises(TypeError):
        replace(target, content=7)
    assert (target / "name").read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def die_at(event, number, target, at_once):
    """Replace `target` and die by SIGKILL just before the disk operation `event` number `number` below its parent."""
    import sys

    if not at_once:
        atomic._exchange = lambda *_: False
    seen = 0

    def watch(name, arguments):
        nonlocal seen
        if name == event and str(target.parent) in str(arguments[0]):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    replace(target)


def killed(*arguments) -> bool:
    process = multiprocessing.get_context("fork").Process(target=die_at, args=arguments)
    process.start()
    process.join(60)
    return process.exitcode == -signal.SIGKILL


def test_killed_between_two_renames_the_next_start_has_the_old_folder_back(target):
    assert killed("os.rename", 2, target, False)
    assert not target.exists()
    with pytest.raises(TypeError):
        replace(target, content=7)
    assert (target / "name").read_text() == "old"
    replace(target)
    assert (target / "name").read_text() == "new"
    assert not (target.parent / ".bundle.old").exists()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the names change places at once on Linux only")
@pytest.mark.parametrize("event", ["os.rename", "shutil.rmtree", "open", "os.remove", "os.rmdir"])
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_killed_at_any_moment_the_folder_is_there_and_whole(target, event, number):
    killed(event, number, target, True)
    assert (target / "name").read_text() in ("old", "new")


def test_a_failed_second_rename_puts_the_old_folder_back(target, monkeypatch):
    fresh = target.parent / "gone"
    with pytest.raises(FileNotFoundError):
        atomic._swap_in_two_steps(fresh, target)
    assert (target / "name").read_text() == "old"


def test_an_exchange_that_fails_says_so(target):
    with pytest.raises(OSError, match="No such file") as failed:
        atomic._swap(target.parent / "gone", target)
    assert failed.value.filename.endswith("gone")


def test_a_finished_file_takes_its_place(tmp_path):
    fresh, target = tmp_path / "made", tmp_path / "store.db"
    target.write_text("old")
    fresh.write_text("new")
    atomic.replace_file(fresh, target)
    assert [path.name for path in tmp_path.iterdir()] == ["store.db"]
    assert target.read_text() == "new"
    with pytest.raises(FileNotFoundError):
        atomic.replace_file(fresh, target)
    assert target.read_text() == "new"


def test_rows_are_written_as_they_come_in_groups_of_about_a_million_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_GROUP_ROWS", 5)
    schema = pa.schema([("n", pa.int64())])
    batches = [pa.record_batch([pa.array(range(start, start + 2))], schema) for start in range(0, 12, 2)]
    path = tmp_path / "rows.parquet"
    assert atomic.write_parquet_batches(path, pa.RecordBatchReader.from_batches(schema, batches)) == 12
    assert pq.read_table(path)["n"].to_pylist() == [*range(12)]
    assert [pq.ParquetFile(path).metadata.row_group(group).num_rows for group in range(3)] == [4, 4, 4]

    def breaking():
        yield batches[0]
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        atomic.write_parquet_batches(path, pa.RecordBatchReader.from_batches(schema, breaking()))
    assert pq.read_table(path)["n"].to_pylist() == [*range(12)]
    assert [*tmp_path.iterdir()] == [path]
    assert atomic.write_parquet_batches(path, pa.RecordBatchReader.from_batches(schema, [])) == 0
    assert pq.read_table(path).schema == schema
