"""Runs that are killed, or started twice at once: online equals offline for every key, and no watermark is ahead.

Each run is a process of its own, forked from a server that has imported Feast once, so that hundreds take minutes.
"""

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from tests.materialization import Event, Repository, at, engine_of, offline_rows, online_rows, random_events

USERS, CHUNK = 600, 40
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["intent_stores.batch_engine", "intent_stores.offline_asof"])
VIEWS = ["stats", "history"]


def materialize(repository: Repository, minute: float, begun: Any, may_begin: Any = None) -> None:
    """Bring both views online: what a process of its own does."""
    store = repository.open_applied()
    views = [store.get_feature_view(view) for view in VIEWS]
    begun.set()
    if may_begin is not None:
        may_begin.wait(60)
    for view in views:
        engine_of(store).materialize_view(view, at(minute))


@pytest.fixture(params=["sqlite", "redis"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    made = Repository(tmp_path, request.param, engine={"chunk_rows": CHUNK, "look_back_hours": 1.0})
    if request.param == "redis":
        made.redis_url = request.getfixturevalue("private_redis").url
    return made


def rows_in(repository: Repository) -> dict[str, int]:
    """Return how many rows the ledger knows to be in, of the unfinished run of each view."""
    engine = sa.create_engine(f"sqlite:///{repository.folder / 'ledger.db'}")
    with engine.connect() as connection:
        query = "SELECT view, rows_in FROM materialization_runs WHERE state = 'running'"
        found = {view: rows for view, rows in connection.execute(sa.text(query))}
    engine.dispose()
    return found


@pytest.mark.faults
@pytest.mark.parametrize("points", [5, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_killed_at_random_points(
    repository: Repository, points: int, record_property: Callable[[str, object], None]
) -> None:
    """Half of the runs are first ones into an empty store, half bring what is new to one that is filled."""
    random = np.random.default_rng(3)
    first, late = random_events(6000, USERS, 120), random_events(3000, USERS, 120, seed=12)
    # Of the second part all became known after minute 130, though half of it happened long before.
    late = [(user, minute, 130 + known / 4, value) for user, minute, known, value in late]
    repository.write(first)
    store = repository.open()
    in_one_process(repository, 125)
    start_over(repository, store)
    took, killed, mid_run, kept = in_one_process(repository, 125), 0, 0, 0
    for point in range(points):
        new = point % 2 == 1
        start_over(repository, store)
        if new:
            in_one_process(repository, 125)
            repository.write(late, part=1)
        parts, minute = ([first, late], 400) if new else ([first], 125)
        begun = CONTEXT.Event()
        process = CONTEXT.Process(target=materialize, args=(repository, minute, begun))
        process.start()
        assert begun.wait(60)
        process.join(took * random.uniform(0, 1.1))
        killed += process.is_alive()
        process.kill()
        process.join()
        before = rows_in(repository)
        mid_run += any(before.values())
        assert_no_watermark_is_ahead(store, parts, minute)
        for view in VIEWS:
            done = engine_of(store).materialize_view(store.get_feature_view(view), at(minute))
            if view in before:
                assert done.written == done.rows - before[view]
                kept += before[view]
        assert_online(store, parts, minute)
    record_property(
        "fault",
        f"materialising to {repository.kind} killed at {points} points ({killed} before the end, {mid_run} between two "
        f"chunks; {kept:,} rows not written again): {points * len(VIEWS) * USERS:,} keys compared, 0 differ",
    )


def in_one_process(repository: Repository, minute: float) -> float:
    """Run to the end and return the seconds that it took."""
    begun = CONTEXT.Event()
    process = CONTEXT.Process(target=materialize, args=(repository, minute, begun))
    process.start()
    assert begun.wait(60)
    moment = time.monotonic()
    process.join(120)
    assert process.exitcode == 0
    return time.monotonic() - moment


def start_over(repository: Repository, store: Any) -> None:
    for part in (repository.folder / "events").glob("0001.parquet"):
        part.unlink()
    for view in VIEWS:
        engine_of(store).drop(store.get_feature_view(view))


def assert_online(store: Any, parts: list[list[Event]], minute: float) -> None:
    for view in VIEWS:
        assert online_rows(store, view, USERS) == offline_rows(parts, view, minute)


def assert_no_watermark_is_ahead(store: Any, parts: list[list[Event]], minute: float) -> None:
    for view in VIEWS:
        mark = engine_of(store).watermark(store.get_feature_view(view))
        if mark is not None and mark.end_us == int(at(minute).timestamp() * 1e6):
            assert online_rows(store, view, USERS) == offline_rows(parts, view, minute)


@pytest.mark.parametrize("ends", [(300, 300), (120, 300), (300, 120)])
def test_two_runs_at_once(repository: Repository, ends: tuple[float, float]) -> None:
    events = random_events(6000, USERS, 120)
    repository.write(events)
    store = repository.open()
    both = CONTEXT.Event()
    begun = [CONTEXT.Event() for _ in ends]
    processes = [
        CONTEXT.Process(target=materialize, args=(repository, end, own, both))
        for end, own in zip(ends, begun, strict=True)
    ]
    for process in processes:
        process.start()
    assert all(own.wait(60) for own in begun)
    both.set()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert_online(store, [events], 300)


def test_a_held_view_is_refused_in_the_end_and_let_go_of_by_a_kill(tmp_path: Path) -> None:
    from intent_stores.errors import LedgerError

    repository = Repository(tmp_path, engine={"lock_wait_seconds": 0.3})
    repository.write([(1, 1, 1, 1.0)])
    store = repository.open()
    held = CONTEXT.Event()
    process = CONTEXT.Process(target=hold, args=(repository, held))
    process.start()
    assert held.wait(60)
    view = store.get_feature_view("stats")
    with pytest.raises(LedgerError, match="Another run"):
        engine_of(store).materialize_view(view, at(5))
    engine_of(store).materialize_view(store.get_feature_view("history"), at(5))
    process.kill()
    process.join()
    assert engine_of(store).materialize_view(view, at(5)).written == 1


def hold(repository: Repository, held: Any) -> None:
    from intent_stores.materialization_ledger import Ledger

    with Ledger(repository.ledger, 60, repository.folder).view(repository.project, "stats"):
        held.set()
        time.sleep(600)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_leaves_the_store_readable(tmp_path: Path) -> None:
    from intent_stores.errors import IntentStoreError

    events = random_events(300, USERS, 60)
    repository = Repository(tmp_path, ledger=f"sqlite:///{tmp_path.parent / 'ledger.db'}")
    repository.write(events)
    store = repository.open()
    engine_of(store).materialize_view(store.get_feature_view("stats"), at(30))
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(IntentStoreError):
            engine_of(store).materialize_view(store.get_feature_view("stats"), at(130))
        assert online_rows(store, "stats", USERS) == offline_rows([events], "stats", 30)
    finally:
        tmp_path.chmod(0o700)
