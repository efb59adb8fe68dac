"""A build that is killed, at any point and however often, goes on and ends as if nothing had happened."""

import json
import multiprocessing
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.small_shop import build_in_a_process, content, make_run, rule_anchors

KILLS = 12
CHUNK_ROWS = 60


@pytest.fixture(scope="module")
def processes():
    """Processes that begin with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["feast", "feature_repo.definitions", "intent_stores.offline_asof", "training.pipelines.build_dataset"]
    )
    return context


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> tuple[Path, Path]:
    out = make_run(tmp_path_factory.mktemp("shop") / "run")
    days = [datetime(2000, 12, day, tzinfo=UTC) for day in (4, 11, 18)]
    days += [datetime(2001, month, day, tzinfo=UTC) for month, day in ((1, 15), (1, 22), (2, 5), (2, 12))]
    anchors = out / "anchors.parquet"
    pq.write_table(rule_anchors(out, *days), anchors)
    return out, anchors


@pytest.fixture(scope="module")
def whole(processes, shop, tmp_path_factory) -> tuple[Path, dict]:
    """A build that nobody killed, and what it counted."""
    folder = tmp_path_factory.mktemp("whole") / "dataset"
    code, counted = run(processes, shop, folder)
    assert code == 0
    assert counted["reused"] == 0
    return folder, counted


def run(processes, shop, folder: Path, die_at: int = 0, after: float | None = None) -> tuple[int, dict]:
    """Build; die at an operation on the disk, or so many seconds after the run has written a part of its own."""
    told = folder.with_name("told.json")
    told.unlink(missing_ok=True)
    arguments = (str(shop[0]), str(folder), str(shop[1]), CHUNK_ROWS, die_at, str(told))
    process = processes.Process(target=build_in_a_process, args=arguments)
    before = set(parts(folder))
    process.start()
    if after is not None:
        while process.is_alive() and set(parts(folder)) <= before:
            time.sleep(0.002)
        time.sleep(after)
        process.kill()
    process.join(120)
    return process.exitcode, json.loads(told.read_text()) if told.exists() else {}


def parts(folder: Path) -> dict[str, tuple[int, int]]:
    """Which parts are there, and when each was written: a second writing gives another file."""
    found = {str(path.relative_to(folder)): path.stat() for path in folder.glob("*/*.parquet")}
    return {name: (state.st_ino, state.st_mtime_ns) for name, state in found.items()}


def finish_and_compare(processes, shop, whole, folder, seen: dict) -> None:
    code, counted = run(processes, shop, folder)
    assert code == 0
    assert counted["reused"] > 0
    assert content(folder) == content(whole[0])  # none missing, nothing left over, nothing else
    now = parts(folder)
    assert all(now[name] == then for name, then in seen.items())  # none twice


def test_killed_at_points_of_its_work_on_the_disk(processes, shop, whole, tmp_path) -> None:
    rng, folder, seen, kills = np.random.default_rng(20), tmp_path / "dataset", {}, 0
    each = whole[1]["operations"] // KILLS
    points = [1, 2, *rng.integers(1, 3 * each, KILLS - 2)]
    for point in points:
        code, _ = run(processes, shop, folder, die_at=int(point))
        kills += code == -9
        assert code == 0 or not (folder / "manifest.json").exists()
        now = parts(folder)
        assert all(now[name] == then for name, then in seen.items())
        seen |= now
    assert kills >= 10
    finish_and_compare(processes, shop, whole, folder, seen)


def test_killed_at_points_in_time(processes, shop, whole, tmp_path) -> None:
    """However slow the machine is, every run gets far enough to leave a part, and is killed somewhere behind it."""
    rng, folder, seen, kills = np.random.default_rng(21), tmp_path / "dataset", {}, 0
    for seconds in rng.uniform(0.0, 0.02, KILLS):
        code, _ = run(processes, shop, folder, after=float(seconds))
        kills += code == -9
        now = parts(folder)
        assert all(now[name] == then for name, then in seen.items())
        seen |= now
        if (folder / "manifest.json").exists():
            break
    assert kills >= 3
    finish_and_compare(processes, shop, whole, folder, seen)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_once_at_points_from_the_first_to_the_last(processes, shop, whole, tmp_path) -> None:
    for point in range(1, whole[1]["operations"] + 1, 17):
        folder = tmp_path / str(point) / "dataset"
        folder.parent.mkdir()
        code, _ = run(processes, shop, folder, die_at=point)
        assert code == -9
        seen = parts(folder)
        assert run(processes, shop, folder)[0] == 0
        assert content(folder) == content(whole[0])
        assert all(parts(folder)[name] == then for name, then in seen.items())
