"""An ingest that is killed leaves nothing for ever, and two of them never work in one folder."""

import multiprocessing
import os
import signal

import pytest

from feature_repo.errors import InputError
from tests.sources import ROWS, log_of, source_settings, write_source
from training.adapters import ingest, ingestion
from training.adapters.staging import staging
from training.dataset.log_manifest import require_whole_log

STEPS = ("describe", "hash_log", "write_card", "write_log_manifest")
PROCESSES = multiprocessing.get_context("fork")


def run(folder):
    return ingest(source_settings("table"), folder / "out", path=write_source("table", folder))


def ingest_until(folder, step):
    setattr(ingestion, step, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    run(folder)


def die_before_the_rename(folder, number):
    """Ingest, and die just before the rename that puts the table `number` into its place."""
    from training import atomic

    swap, seen = atomic._swap, []

    def count(fresh, target):
        seen.append(target)
        if len(seen) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        swap(fresh, target)

    atomic._swap = count
    run(folder)


def killed(function, *arguments) -> bool:
    process = PROCESSES.Process(target=function, args=arguments)
    process.start()
    process.join(60)
    return process.exitcode == -signal.SIGKILL


def hidden(folder):
    return sorted(path.name.split(".")[1] for path in (folder / "out").glob(".*"))


@pytest.mark.parametrize("step", STEPS)
def test_what_a_killed_ingest_left_is_swept_by_the_next(tmp_path, step):
    assert killed(ingest_until, tmp_path, step)
    assert "ingest" in hidden(tmp_path)
    run(tmp_path)
    assert hidden(tmp_path) == []
    assert len(require_whole_log(tmp_path / "out")) == 64


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_half_written_tables_are_swept_too(tmp_path, number):
    assert killed(die_before_the_rename, tmp_path, number)
    assert len(hidden(tmp_path)) == 6 - number  # the staging place, and the tables that did not get there
    run(tmp_path)
    assert hidden(tmp_path) == []
    assert len(log_of(tmp_path / "out")) == len(ROWS)


def hold(out, ready, done):
    with staging(out):
        ready.set()
        done.wait(60)


def test_a_running_ingest_keeps_its_place_and_keeps_others_out(tmp_path):
    ready, done = PROCESSES.Event(), PROCESSES.Event()
    process = PROCESSES.Process(target=hold, args=(tmp_path / "out", ready, done))
    process.start()
    try:
        assert ready.wait(60)
        with pytest.raises(InputError, match=r"Another ingest is writing .*out; expected to be alone"):
            run(tmp_path)
        assert hidden(tmp_path) == ["ingest"]
    finally:
        done.set()
        process.join(60)
    run(tmp_path)
    assert hidden(tmp_path) == []


def test_too_little_memory_is_told_with_what_there_was_and_nothing_is_lost(tmp_path, monkeypatch):
    run(tmp_path)
    before = log_of(tmp_path / "out")
    monkeypatch.setattr("training.adapters.staging.MEMORY", "500KB")
    with pytest.raises(InputError, match=r"Out of Memory .* Expected 500KB of memory, and room on that disk"):
        run(tmp_path)
    require_whole_log(tmp_path / "out")
    assert log_of(tmp_path / "out") == before
    assert hidden(tmp_path) == []


def test_other_hidden_files_are_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    for name in (".gitkeep", ".ingest.me", ".events.old", ".notes.12345678"):
        (tmp_path / "out" / name).touch()
    with staging(tmp_path / "out"):
        pass
    assert len(list((tmp_path / "out").glob(".*"))) == 4
