"""Feast's materialisation through the chunked engine, over both stores and both ledgers: online equals the oracle."""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from intent_stores.errors import ConfigurationError, LedgerError, OnlineStoreUnavailableError, SourceChangedError
from intent_stores.materialization import Materialized
from intent_stores.materialization_ledger import Ledger
from tests.materialization import Event, Repository, at, engine_of, offline_rows, online_rows, random_events
from tests.servers import PrivatePostgres

USERS, VIEWS = 40, ["stats", "history"]


@pytest.fixture(params=["sqlite, sqlite", "redis, sqlite", "sqlite, postgresql"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Repository]:
    kind, ledger = request.param.split(", ")
    made = Repository(tmp_path, kind, engine={"chunk_rows": 7, "look_back_hours": 0.0})
    with schema_of_its_own() if ledger == "postgresql" else nullcontext(made.ledger) as made.ledger:
        yield made
        if kind == "redis":
            made.open().teardown()


@contextmanager
def schema_of_its_own() -> Iterator[str]:
    url = os.environ.get("INTENT_TEST_POSTGRES_URL") or pytest.skip("INTENT_TEST_POSTGRES_URL names no PostgreSQL")
    schema = f"t{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    try:
        yield f"{url}?options=-csearch_path%3D{schema}"
    finally:
        with engine.begin() as connection:
            connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))
        engine.dispose()


def assert_online(store: Any, parts: list[list[Event]], minute: float, creation: bool = True) -> None:
    for view in VIEWS:
        assert online_rows(store, view, USERS) == offline_rows(parts, view, minute, creation), view


def run(store: Any, view: str, end: datetime, **options: Any) -> Materialized:
    return engine_of(store).materialize_view(store.get_feature_view(view), end, **options)


def test_materialize_and_incremental_bring_everything_late_rows_included(repository: Repository) -> None:
    events = random_events(600, USERS, 120)
    repository.write(events)
    store = repository.open()
    store.materialize(at(-1), at(60))
    assert_online(store, [events], 60)
    # Feast would ask for events after minute 60 alone; a third of them became known later than they happened.
    for minute in (61, 90, 200, 300):
        store.materialize_incremental(at(minute))
        assert_online(store, [events], minute)


def test_only_what_is_new_is_written(tmp_path: Path) -> None:
    repository = Repository(tmp_path, engine={"look_back_hours": 0.0})
    first, late = random_events(400, USERS, 60), [(3, 141, 141, 0.5), (5, 2, 142, 0.25)]
    repository.write(first)
    store = repository.open()
    whole = run(store, "stats", at(130))
    assert whole.rows == whole.written == len(offline_rows([first], "stats", 130))
    repository.write(late, part=1)
    assert [run(store, view, at(200)).written for view in VIEWS] == [2, len(offline_rows([first], "history", 200))]
    assert [run(store, view, at(201)).written for view in VIEWS] == [0, 0]
    assert_online(store, [first, late], 201)


def test_rows_that_reach_the_source_late_need_the_look_back(tmp_path: Path) -> None:
    first, late = [(1, 10, 10, 1.0), (2, 50, 50, 2.0)], [(1, 40, 40, 3.0), (2, 40, 40, 4.0)]
    for hours, found in ((0.0, False), (1.0, True)):
        repository = Repository(tmp_path / str(hours), engine={"look_back_hours": hours})
        repository.write(first)
        store = repository.open()
        store.materialize(at(0), at(60))
        repository.write(late, part=1)
        store.materialize_incremental(at(61))
        assert (online_rows(store, "stats", USERS)[1] == (3.0, 0)) is found
        assert (online_rows(store, "history", USERS)[2] == [(4.0, 1), (2.0, 1)]) is found


def test_without_creation_times_the_event_time_says_when_a_row_was_known(tmp_path: Path) -> None:
    events = random_events(300, USERS, 60)
    repository = Repository(tmp_path, creation=False, engine={"look_back_hours": 0.0})
    repository.write(events)
    store = repository.open()
    for minute in (10, 30, 100):
        store.materialize_incremental(at(minute)) if minute > 10 else store.materialize(at(-1), at(minute))
        assert_online(store, [events], minute, creation=False)


def test_an_interval_brings_only_what_is_new_in_it(tmp_path: Path) -> None:
    events = [(1, 10, 10, 1.0), (2, 50, 50, 2.0)]
    repository = Repository(tmp_path)
    repository.write(events)
    store = repository.open()
    store.materialize(at(30), at(60))
    assert set(online_rows(store, "stats", USERS)) == {2}
    store.materialize(at(0), at(20))  # an older interval is filled in, and what is newer stays
    assert online_rows(store, "stats", USERS) == offline_rows([events], "stats", 60)
    assert engine_of(store).watermark(store.get_feature_view("stats")).end_us == int(at(60).timestamp() * 1e6)


def test_an_emptied_store_is_filled_again(repository: Repository) -> None:
    events = random_events(400, USERS, 60)
    repository.write(events)
    store = repository.open()
    store.materialize(at(-1), at(130))
    engine, view = engine_of(store), store.get_feature_view("stats")
    assert engine.watermark(view) is not None
    store._get_provider().online_store.packed_store(store.config).drop("stats")
    assert engine.watermark(view) is None
    store.materialize_incremental(at(131))
    assert_online(store, [events], 131)


def test_a_store_that_was_being_emptied_is_filled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository(tmp_path, engine={"look_back_hours": 0.0})
    repository.write(random_events(400, USERS, 60))
    store = repository.open()
    engine, view = engine_of(store), store.get_feature_view("stats")
    total = run(store, "stats", at(130)).rows
    with monkeypatch.context() as patched:
        packed = store._get_provider().online_store.packed_store(store.config)
        patched.setattr(packed, "drop", lambda view: None)  # the kill comes before the first row goes
        engine.drop(view)
    assert engine.watermark(view) is None
    assert run(store, "stats", at(131)).written == total


def test_a_clock_that_is_behind_the_last_runs_changes_nothing(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.write(random_events(400, USERS, 60))
    store = repository.open()
    engine, view = engine_of(store), store.get_feature_view("stats")
    run(store, "stats", at(100))
    monkeypatch.setattr("intent_stores.materialization_marker.time.time_ns", lambda: 1)
    run(store, "stats", at(130))
    assert engine.watermark(view).end_us == int(at(130).timestamp() * 1e6)
    engine.drop(view)
    assert engine.watermark(view) is None


def test_a_store_of_an_earlier_run_is_filled_again(tmp_path: Path) -> None:
    events = random_events(400, USERS, 60)
    repository = Repository(tmp_path, engine={"look_back_hours": 0.0})
    repository.write(events)
    store = repository.open()
    store.materialize(at(-1), at(30))
    for copy in tmp_path.glob("online.db*"):
        copy.rename(copy.with_name(f"old-{copy.name}"))
    old = store._get_provider().online_store.packed_store(store.config)
    old.close()
    store.materialize(at(-1), at(30))
    store.materialize_incremental(at(130))
    old.close()
    for name in ("online.db", "online.db-wal", "online.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
        if (tmp_path / f"old-{name}").exists():
            (tmp_path / f"old-{name}").rename(tmp_path / name)
    store.materialize_incremental(at(131))
    assert_online(store, [events], 131)


def test_a_changed_view_is_filled_again(tmp_path: Path) -> None:
    from feast import Field
    from feast.types import Float64

    events = random_events(400, USERS, 60)
    repository = Repository(tmp_path)
    repository.write(events)
    store = repository.open()
    store.materialize(at(-1), at(130))
    view = store.get_feature_view("stats")
    view.features[1] = Field(name="place", dtype=Float64)
    view.projection.features[1] = view.features[1]
    store.apply([view])
    store.materialize_incremental(at(131))
    assert online_rows(store, "stats", USERS) == offline_rows([events], "stats", 131)


def test_pushed_rows_that_are_newer_stay(repository: Repository) -> None:
    import pandas as pd

    repository.write([(1, 10, 10, 1.0), (2, 10, 10, 2.0)])
    store = repository.open()
    columns = {"user_id": ["u1"], "value": [9.0], "place": [7], "event_timestamp": [at(20)], "created": [at(20)]}
    store.write_to_online_store("stats", pd.DataFrame(columns))
    store.materialize(at(0), at(15))
    assert online_rows(store, "stats", USERS) == {1: (9.0, 7), 2: (2.0, 1)}


def test_equal_times_are_ordered_by_the_sequence(repository: Repository) -> None:
    repository.write([(1, 10, 10, 1.0)])
    store = repository.open()
    assert run(store, "stats", at(15), sequence=5).written == 1
    repository.write([(1, 10, 10, 2.0)])
    run(store, "stats", at(15), sequence=4, everything=True)
    assert online_rows(store, "stats", USERS)[1] == (1.0, 0)
    run(store, "stats", at(15), sequence=5, everything=True)
    assert online_rows(store, "stats", USERS)[1] == (2.0, 0)


def test_a_view_without_entities_and_with_other_names_in_its_source(tmp_path: Path) -> None:
    from feast import FeatureView, Field, FileSource
    from feast.types import Float64

    repository = Repository(tmp_path)
    repository.write([(1, 10, 10, 1.0), (2, 20, 20, 2.0)])
    store = repository.open()
    mapping = {"value": "amount", "event_timestamp": "moment", "created": "known"}
    source = FileSource(
        name="one", path="events", timestamp_field="moment", created_timestamp_column="known", field_mapping=mapping
    )
    store.apply([FeatureView(name="total", entities=[], schema=[Field(name="amount", dtype=Float64)], source=source)])
    store.materialize(at(0), at(30), ["total"])
    online, view = store._get_provider().online_store, store.get_feature_view("total")
    found = online.reader(store.config).read_columns([online.view(store.config, view)], {}, at=at(30))["total"]
    assert found.values["amount"].tolist() == [2.0]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"online_store": {"type": "sqlite", "path": "feast.db"}}, id="online, through Feast's own engine"),
        pytest.param({"offline_store": {"type": "dask"}}, id="offline, pulled as a whole"),
    ],
)
def test_other_stores(other: dict[str, Any], tmp_path: Path) -> None:
    # One row a moment: Feast's stores order no ties.
    events = [(user, minute, minute, 1.0 * user) for minute in range(60) for user in [minute * 7 % USERS]]
    repository = Repository(tmp_path, creation=False, settings=other, engine={"chunk_rows": 7})
    repository.write(events)
    store = repository.open()
    names = [f"u{user}" for user in range(USERS)]
    for minute in (30, 100):
        store.materialize(at(-1), at(minute), ["stats"])
        rows = store.get_online_features(
            ["stats:value", "stats:place"], [{"user_id": name} for name in names]
        ).to_dict()
        found = {
            user: row for user, row in enumerate(zip(rows["value"], rows["place"], strict=True)) if row[0] is not None
        }
        assert found == offline_rows([events], "stats", minute, creation=False)


def test_a_run_goes_on_where_another_was_cut_off(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    events = random_events(600, USERS, 60)
    repository.write(events)
    store = repository.open()
    online = store._get_provider().online_store
    for view in VIEWS:
        total = len(offline_rows([events], view, 130))
        with monkeypatch.context() as patched:
            fail_after(3, online, patched)
            with pytest.raises(OnlineStoreUnavailableError):
                run(store, view, at(130))
        assert engine_of(store).watermark(store.get_feature_view(view)) is None
        assert run(store, view, at(130)) == Materialized(total, total - 21, int(at(130).timestamp() * 1e6))
        assert run(store, view, at(130), everything=True).written == total
    assert_online(store, [events], 130)


def test_a_changed_source_begins_anew(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    events = random_events(600, USERS, 60)
    repository.write(events)
    store = repository.open()
    with monkeypatch.context() as patched:
        fail_after(3, store._get_provider().online_store, patched)
        with pytest.raises(OnlineStoreUnavailableError):
            run(store, "stats", at(130))
    changed = [(user, minute, known, None if value is None else value + 1) for user, minute, known, value in events]
    repository.write(changed)
    result = run(store, "stats", at(130))
    assert result.written == result.rows
    assert online_rows(store, "stats", USERS) == offline_rows([changed], "stats", 130)


def test_a_source_that_changes_meanwhile_moves_no_watermark(repository: Repository) -> None:
    repository.write(random_events(600, USERS, 60))
    store = repository.open()

    class Swapping:
        def update(self, rows: int) -> None:
            repository.write(random_events(600, USERS, 60, seed=12))

        def close(self) -> None: ...

    with pytest.raises(SourceChangedError):
        run(store, "stats", at(130), bar=lambda total: Swapping())
    assert engine_of(store).watermark(store.get_feature_view("stats")) is None
    run(store, "stats", at(130))
    final = [random_events(600, USERS, 60, seed=12)]
    assert online_rows(store, "stats", USERS) == offline_rows(final, "stats", 130)


def fail_after(chunks: int, online: Any, patched: pytest.MonkeyPatch) -> None:
    write, count = online.write_arrow, iter(range(chunks))

    def cut_off(*given: Any, **more: Any) -> Any:
        if next(count, None) is None:
            raise OnlineStoreUnavailableError("cut off")
        return write(*given, **more)

    patched.setattr(online, "write_arrow", cut_off)


def test_progress_says_how_many_rows_there_are_and_is_closed(tmp_path: Path) -> None:
    repository = Repository(tmp_path, engine={"chunk_rows": 7})
    repository.write(random_events(300, USERS, 60))
    store = repository.open()
    seen: list[int] = []

    class Seen:
        def update(self, rows: int) -> None:
            seen.append(rows)

        def close(self) -> None:
            seen.append(-1)

    result = run(store, "stats", at(200), bar=lambda total: seen.append(total) or Seen())
    assert seen[0] == result.rows == sum(seen[1:-1])
    assert seen[-1] == -1
    assert max(seen[1:-1]) == 7


@pytest.mark.parametrize("url", ["", "mysql://here/db", "sqlite://", "sqlite:///:memory:", "no url"])
def test_a_ledger_that_cannot_be_is_refused(tmp_path: Path, url: str) -> None:
    repository = Repository(tmp_path, ledger=url)
    repository.write([(1, 1, 1, 1.0)])
    with pytest.raises(ConfigurationError, match="expected sqlite:///"):
        repository.open()


def test_a_ledger_that_is_away_changes_nothing(tmp_path: Path) -> None:
    repository = Repository(tmp_path, ledger="postgresql://nobody:secret@127.0.0.1:9/none")
    repository.write([(1, 1, 1, 1.0)])
    store = repository.open()
    with pytest.raises(LedgerError, match="no watermark has moved") as told:
        run(store, "stats", at(1))
    assert "secret" not in str(told.value)
    assert online_rows(store, "stats", USERS) == {}


def test_a_ledger_that_is_frozen_is_given_up(private_postgres: PrivatePostgres) -> None:
    ledger = Ledger(private_postgres.url)
    with ledger.view("p", "v") as book:
        assert book.watermark() is None
        private_postgres.freeze()
        for ask in (book.watermark, lambda: ledger.watermark("p", "v")):
            begun = time.monotonic()
            with pytest.raises(LedgerError, match="no watermark has moved"):
                ask()
            assert time.monotonic() - begun < 20
        private_postgres.thaw()


def test_another_process_finds_what_the_first_one_did(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.write([(1, 1, 1, 1.0)])
    store, twin = repository.open(), replace(repository).open()
    run(store, "stats", at(5))
    marks = [engine_of(each).watermark(each.get_feature_view("stats")) for each in (store, twin)]
    assert marks[0] == marks[1]
    assert uuid.UUID(marks[0].run_id)
