"""The point-in-time join against a brute-force loop over Python objects, which shares no code with it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
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
from tests.asof_loop import Case, Sheet, cases, distinct, expected_latest, expected_sequences, generated, sheets_of

BASE = 1_700_000_000_000_000
MICROSECONDS = pa.timestamp("us", tz="UTC")


def moment_array(values: list[int | None]) -> pa.Array:
    return pa.array([None if v is None else BASE + v for v in values], pa.int64()).cast(MICROSECONDS)


def write_rows(sheet: Sheet, folder: Path) -> None:
    """Write the rows to one or more files whose sorted names keep the order."""
    for old in folder.glob("*.parquet"):
        old.unlink()
    for number, file in enumerate(sheet.rows):
        rows = [row for _, row in file]
        table = pa.table(
            {
                "case": pa.array([case for case, _ in file], pa.int64()),
                "user_id": pa.array([r.key for r in rows], pa.string()),
                "event_timestamp": moment_array([r.event for r in rows]),
                "created": moment_array([r.created for r in rows]),
                "value": pa.array([r.value for r in rows], pa.int64()),
                "text": pa.array([None if r.value is None else str(r.value) for r in rows], pa.string()),
                "ratio": pa.array([None if r.value is None else r.value / 2 for r in rows], pa.float64()),
            }
        )
        pq.write_table(table, folder / f"{number}.parquet", compression="none")


def make_plan(connection: duckdb.DuckDBPyConnection, sheet: Sheet, folder: Path) -> ViewPlan:
    """One key for a single case, as most views have; two for several."""
    source = FileSource(name="events", path=str(folder), timestamp_field="event_timestamp")
    rule, keys = sheet.rule, ("user_id",) if len(sheet.cases) == 1 else ("user_id", "case")
    return ViewPlan(
        name="view",
        source=open_source(connection, source, None),
        keys=tuple(JoinKey(key, key) for key in keys),
        features=(FeatureColumn("value", "value"), FeatureColumn("text", "text"), FeatureColumn("ratio", "ratio")),
        timestamp_column="event_timestamp",
        created_column="created" if rule.has_created else None,
        ttl_us=rule.ttl or None,
        known_only=rule.known_only,
    )


def make_anchors(sheet: Sheet) -> pa.Table:
    anchors = sheet.anchors
    columns = {
        "r": np.arange(len(anchors)),
        "k0": pa.array([key for _, key, _ in anchors], pa.string()),
        "k1": pa.array([number for number, _, _ in anchors], pa.int64()),
        "t": pa.array([BASE + t for _, _, t in anchors], pa.int64()),
    }
    return pa.table({name: column for name, column in columns.items() if len(sheet.cases) > 1 or name != "k1"})


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb_session(SessionLimits(threads=1)) as session:
        yield session


def compare_join(sheet: Sheet, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    write_rows(sheet, folder)
    plan, anchors = make_plan(connection, sheet, folder), make_anchors(sheet)
    latest = join_latest(connection, anchors, plan)
    expected = [value for case in sheet.cases for value in expected_latest(case)]
    assert latest.column("value").to_pylist() == expected
    assert latest.column("text").to_pylist() == [None if v is None else str(v) for v in expected]
    create_matched(connection, anchors, plan)
    spilling = connection.execute("SELECT r, rid FROM matched ORDER BY r").fetchall()
    connection.execute("DROP TABLE matched")
    assert spilling == sheet.matches()
    lists = gather_sequences(connection, anchors, plan, sheet.rule.length).lists
    assert lists.column("value").to_pylist() == [found for case in sheet.cases for found in expected_sequences(case)]


JOIN = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def compare_in_sheets(many: list[Case], connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Compare cases many to a join; a sheet that differs is looked at case by case, the smallest first."""
    for sheet in sheets_of(many):
        try:
            compare_join(sheet, connection, folder)
        except AssertionError:
            for case in sorted(sheet.cases, key=lambda case: len(case.rows) + len(case.anchors)):
                compare_join(Sheet([case]), connection, folder)
            raise


# Together 2,000 cases: what each file and each query costs by itself is most of what a single case costs.
@settings(JOIN, max_examples=500)
@given(case=cases)
def test_the_join_equals_a_brute_force_loop(
    case: Case, connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    compare_join(Sheet([case]), connection, _folder(tmp_path_factory))


def test_a_join_of_many_cases_equals_a_brute_force_loop(
    connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    compare_in_sheets(generated(1_500, JOIN), connection, _folder(tmp_path_factory))


# Together 100,000.
@pytest.mark.slow
@pytest.mark.timeout(3_600)
@settings(JOIN, max_examples=2_000)
@given(case=cases)
def test_the_join_equals_a_brute_force_loop_at_length(
    case: Case, connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    compare_join(Sheet([case]), connection, _folder(tmp_path_factory))


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("start", [1, 2, 3, 4])
def test_a_join_of_many_cases_equals_a_brute_force_loop_at_length(
    start: int, connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    many = generated(24_500, JOIN, start)
    assert len(many) == 24_500
    assert distinct(many) > 20_000
    compare_in_sheets(many, connection, _folder(tmp_path_factory))


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
    write_rows(Sheet([case]), repository / "rows")
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
