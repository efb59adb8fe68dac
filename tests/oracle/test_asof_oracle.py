"""The point-in-time join against a brute-force loop over Python objects, which shares no code with it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import duckdb
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.types import Array, Float64, Int64, String
from feast.value_type import ValueType
from hypothesis import HealthCheck, given, settings

from intent_stores.duckdb_session import SessionLimits, duckdb_session
from intent_stores.parquet_source import open_source
from intent_stores.point_in_time import join_latest
from intent_stores.sequence_gather import gather_sequences
from intent_stores.spilling_match import create_matched
from intent_stores.view_plan import FeatureColumn, JoinKey, ViewPlan

BASE = 1_700_000_000_000_000
LONG_KEY = "key-" * 5_000
KEYS = ["a", "b", "", "ä", "a\x1fb", "日本", LONG_KEY, None]
MICROSECONDS = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Row:
    """A feature row: key, event time, creation time (both relative microseconds), value."""

    key: str | None
    event: int | None
    created: int | None
    value: int | None


@dataclass(frozen=True)
class Case:
    """Rows in file order, anchors in caller order, and the rules of the view."""

    rows: list[Row]
    anchors: list[tuple[str | None, int]]
    ttl: int
    has_created: bool
    known_only: bool
    length: int
    files: int


# Few distinct moments, so that ties, equal creation times and TTL edges come up all the time.
moments = st.integers(0, 12)
keys = st.sampled_from(KEYS)
rows = st.builds(
    Row,
    key=keys | st.just("a"),
    event=moments | st.none() | moments,
    created=moments | st.none() | moments,
    value=st.integers(-5, 5) | st.none(),
)
cases = st.builds(
    Case,
    rows=st.lists(rows, max_size=25),
    anchors=st.lists(st.tuples(keys | st.just("a"), moments), max_size=10),
    ttl=st.sampled_from([0, 1, 3, 1_000]),
    has_created=st.booleans(),
    known_only=st.booleans(),
    length=st.integers(1, 4),
    files=st.integers(1, 3),
)


def counting(case: Case, key: str | None, t: int) -> list[int]:
    """The place of every row that counts for one anchor, from the least to the most preferred."""
    chosen: list[tuple[int, float, int]] = []
    for place, row in enumerate(case.rows):
        if key is None or row.key != key or row.event is None or row.event > t:
            continue
        if case.ttl and row.event < t - case.ttl:
            continue
        created = row.created if case.has_created else None
        if case.has_created and case.known_only and (created is None or created > t):
            continue
        chosen.append((row.event, -math.inf if created is None else created, place))
    return [place for *_, place in sorted(chosen)]


def expected_places(case: Case) -> list[int | None]:
    found = [counting(case, key, t) for key, t in case.anchors]
    return [places[-1] if places else None for places in found]


def expected_latest(case: Case) -> list[int | None]:
    return [None if place is None else case.rows[place].value for place in expected_places(case)]


def expected_sequences(case: Case) -> list[list[int]]:
    found = [counting(case, key, t)[-case.length :] for key, t in case.anchors]
    return [[case.rows[place].value or 0 for place in places] for places in found]


def cuts(case: Case) -> list[int]:
    """Where the files of a case begin and end."""
    return [len(case.rows) * i // case.files for i in range(case.files + 1)]


def expected_matches(case: Case) -> list[tuple[int, int]]:
    """Each anchor that has an answer, and the answer's file and row as one number."""
    numbers = [(file << 40) + row for file, (a, b) in enumerate(pairwise(cuts(case))) for row in range(b - a)]
    return [(r, numbers[place]) for r, place in enumerate(expected_places(case)) if place is not None]


def moment_array(values: list[int | None]) -> pa.Array:
    return pa.array([None if v is None else BASE + v for v in values], pa.int64()).cast(MICROSECONDS)


def write_rows(case: Case, folder: Path) -> None:
    """Write the rows to one or more files whose sorted names keep the order."""
    for old in folder.glob("*.parquet"):
        old.unlink()
    table = pa.table(
        {
            "user_id": pa.array([r.key for r in case.rows], pa.string()),
            "event_timestamp": moment_array([r.event for r in case.rows]),
            "created": moment_array([r.created for r in case.rows]),
            "value": pa.array([r.value for r in case.rows], pa.int64()),
            "text": pa.array([None if r.value is None else str(r.value) for r in case.rows], pa.string()),
            "ratio": pa.array([None if r.value is None else r.value / 2 for r in case.rows], pa.float64()),
        }
    )
    for i, (first, end) in enumerate(pairwise(cuts(case))):
        pq.write_table(table.slice(first, end - first), folder / f"{i}.parquet")


def make_plan(connection: duckdb.DuckDBPyConnection, case: Case, folder: Path) -> ViewPlan:
    source = FileSource(name="events", path=str(folder), timestamp_field="event_timestamp")
    return ViewPlan(
        name="view",
        source=open_source(connection, source, None),
        keys=(JoinKey("user_id", "user_id"),),
        features=(FeatureColumn("value", "value"), FeatureColumn("text", "text"), FeatureColumn("ratio", "ratio")),
        timestamp_column="event_timestamp",
        created_column="created" if case.has_created else None,
        ttl_us=case.ttl or None,
        known_only=case.known_only,
    )


def make_anchors(case: Case) -> pa.Table:
    return pa.table(
        {
            "r": np.arange(len(case.anchors)),
            "k0": pa.array([key for key, _ in case.anchors], pa.string()),
            "t": pa.array([BASE + t for _, t in case.anchors], pa.int64()),
        }
    )


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb_session(SessionLimits(threads=1)) as session:
        yield session


def compare_join(case: Case, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    write_rows(case, folder)
    plan, anchors = make_plan(connection, case, folder), make_anchors(case)
    latest = join_latest(connection, anchors, plan)
    expected = expected_latest(case)
    assert latest.column("value").to_pylist() == expected
    assert latest.column("text").to_pylist() == [None if v is None else str(v) for v in expected]
    create_matched(connection, anchors, plan)
    spilling = connection.execute("SELECT r, rid FROM matched ORDER BY r").fetchall()
    connection.execute("DROP TABLE matched")
    assert spilling == expected_matches(case)
    lists = gather_sequences(connection, anchors, plan, case.length).lists
    assert lists.column("value").to_pylist() == expected_sequences(case)


JOIN = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@settings(JOIN, max_examples=2_000)
@given(case=cases)
def test_the_join_equals_a_brute_force_loop(
    case: Case, connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    compare_join(case, connection, _folder(tmp_path_factory))


@pytest.mark.slow
@pytest.mark.timeout(7_200)
@settings(JOIN, max_examples=100_000)
@given(case=cases)
def test_the_join_equals_a_brute_force_loop_at_length(
    case: Case, connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    compare_join(case, connection, _folder(tmp_path_factory))


def _folder(factory: pytest.TempPathFactory) -> Path:
    folder = factory.getbasetemp() / "asof-oracle"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    (folder / "rows").mkdir()
    for switch in ("true", "false"):
        (folder / f"{switch}.yaml").write_text(
            "project: oracle\nprovider: local\nregistry: registry.db\n"
            "online_store: {type: sqlite, path: online.db}\nentity_key_serialization_version: 3\n"
            "offline_store:\n    type: intent_stores.offline_asof.AsofOfflineStore\n"
            f"    filter_by_created_timestamp: {switch}\n"
        )
    return folder


@pytest.fixture(scope="module")
def stores(repository: Path) -> dict[bool, FeatureStore]:
    return {
        switch: FeatureStore(repo_path=str(repository), fs_yaml_file=repository / f"{str(switch).lower()}.yaml")
        for switch in (True, False)
    }


def apply_views(store: FeatureStore, case: Case) -> None:
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    created = {"created_timestamp_column": "created"} if case.has_created else {}
    plain = FileSource(name="plain", path="rows", timestamp_field="event_timestamp", **created)
    tags = {"sequence.length": str(case.length)}
    sequence = FileSource(name="sequence", path="rows", timestamp_field="event_timestamp", tags=tags, **created)
    ttl = timedelta(microseconds=case.ttl)
    fields = [Field(name="value", dtype=Int64), Field(name="text", dtype=String), Field(name="ratio", dtype=Float64)]
    lists = [Field(name=f.name, dtype=Array(f.dtype)) for f in fields]
    store.apply(
        [
            user,
            FeatureView(name="latest", entities=[user], ttl=ttl, schema=fields, source=plain),
            FeatureView(name="history", entities=[user], ttl=ttl, schema=lists, source=sequence),
        ]
    )


def compare_store(case: Case, stores: dict[bool, FeatureStore], repository: Path) -> None:
    write_rows(case, repository / "rows")
    store = stores[case.known_only]
    apply_views(store, case)
    frame = pd.DataFrame(
        {
            "user_id": pd.Series([key for key, _ in case.anchors], dtype=object),
            "event_timestamp": pd.Series(
                [datetime.fromtimestamp(BASE // 10**6, UTC) + timedelta(microseconds=t) for _, t in case.anchors],
                dtype="datetime64[us, UTC]",
            ),
            "label": pd.Series(range(len(case.anchors)), dtype="Int16"),
        }
    )
    job = store.get_historical_features(
        entity_df=frame,
        features=["latest:value", "latest:text", "history:value", "history:ratio"],
        full_feature_names=True,
    )
    table = job.to_arrow()
    expected = expected_latest(case)
    assert table.column("label").to_pylist() == list(range(len(case.anchors)))
    assert table.column("latest__value").to_pylist() == expected
    assert table.column("latest__text").to_pylist() == [None if v is None else str(v) for v in expected]
    assert table.column("history__value").to_pylist() == expected_sequences(case)


@settings(JOIN, max_examples=200)
@given(case=cases)
def test_feast_over_the_store_equals_a_brute_force_loop(
    case: Case, stores: dict[bool, FeatureStore], repository: Path
) -> None:
    compare_store(case, stores, repository)


@pytest.mark.slow
@pytest.mark.timeout(7_200)
@settings(JOIN, max_examples=2_000)
@given(case=cases)
def test_feast_over_the_store_equals_a_brute_force_loop_at_length(
    case: Case, stores: dict[bool, FeatureStore], repository: Path
) -> None:
    compare_store(case, stores, repository)
