"""The probe plants events in the log and sees them, wherever on the way to the features they come through."""

import pyarrow.parquet as pq
import pytest

from feature_repo import derived_tables
from feature_repo.errors import FeatureError
from training.pipelines.build_dataset import read_split
from training.pipelines.leak_probe import probe_for_leaks

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def anchors(sample_run):
    return read_split(sample_run.out, "train").slice(0, 400)


def test_honest_tables_pass(sample_run, anchors) -> None:
    assert 50 < probe_for_leaks(sample_run.out, anchors, seed=1) <= 300


@pytest.mark.parametrize(
    ("table", "honest", "leaking", "named"),
    [
        ("user_history", "known_at AS created_timestamp", "min(known_at) OVER () AS created_timestamp", "lifetime_"),
        ("user_baskets", "known_at AS created_timestamp", "max(event_timestamp) AS created_timestamp", "basket_"),
    ],
)
def test_a_table_that_hides_when_it_was_known_is_found(
    sample_run, anchors, monkeypatch, table, honest, leaking, named
) -> None:
    query = derived_tables.DERIVED_TABLES[table]
    assert honest in query
    monkeypatch.setitem(derived_tables.DERIVED_TABLES, table, query.replace(honest, leaking))
    with pytest.raises(FeatureError, match=named):
        probe_for_leaks(sample_run.out, anchors, seed=1)


def test_the_probe_leaves_the_run_as_it_was(sample_run, anchors) -> None:
    part = next((sample_run.out / "features").glob("*.parquet"))
    before = part.read_bytes()
    probe_for_leaks(sample_run.out, anchors, seed=2)
    assert part.read_bytes() == before
    assert pq.read_table(part).num_rows > 0
