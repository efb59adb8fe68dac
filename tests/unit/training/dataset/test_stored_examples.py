"""Examples on disk are the examples in memory, whatever is taken of them, and a member cannot tell."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.transforms.customer import customer_features
from training.dataset import stored_examples
from training.dataset.examples import Examples
from training.dataset.stored_examples import StoredExamples, one_after_the_other
from training.models import member
from training.models.contract import FitSettings

DAY_US = 86_400_000_000


def table(rows: int, day: int, seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    at = day * DAY_US
    baskets = [np.sort(at - random.integers(1, 90, random.integers(1, 6)) * DAY_US) for _ in range(rows)]
    lines = [[float(random.integers(1, 9)) for _ in days] for days in baskets]
    sums = ("lines", "quantity", "revenue", "cost", "items", "categories")
    return pa.table(
        {
            "user_id": [f"u{i}" for i in range(rows)],
            "event_timestamp": pa.array(np.full(rows, at), pa.timestamp("us", tz="UTC")),
            "label": random.integers(0, 2, rows),
            "area": random.choice(["north", "south"], rows),
            "lifetime_baskets": [float(len(days)) for days in baskets],
            "first_purchase_at": [int(days[0]) for days in baskets],
            "basket_at": pa.array([days.tolist() for days in baskets]),
            **{f"basket_{name}": lines for name in sums},
        }
    )


@pytest.fixture
def both(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_examples, "PART_ROWS", 37)
    tables = [table(90, 200, 1), table(60, 207, 2), table(110, 214, 3)]
    paths = [tmp_path / f"part-{i}.parquet" for i in range(3)]
    for path, part in zip(paths, tables, strict=True):
        pq.write_table(part, path, row_group_size=50)
    return StoredExamples.open(paths, customer_features), Examples.from_table(pa.concat_tables(tables))


def same(stored: Examples, expected: Examples) -> None:
    np.testing.assert_array_equal(stored.user_id, expected.user_id)
    np.testing.assert_array_equal(stored.anchor_us, expected.anchor_us)
    np.testing.assert_array_equal(stored.label, expected.label)
    found, wanted = stored.features, expected.features
    for name, values in wanted.numeric.items():
        np.testing.assert_array_equal(found.numeric[name], values)
    for name, lists in wanted.sequences.items():
        np.testing.assert_array_equal(found.sequences[name].values, lists.values)
        np.testing.assert_array_equal(found.sequences[name].offsets, lists.offsets)
    np.testing.assert_array_equal(found.categorical["area"], wanted.categorical["area"])


def test_they_are_the_same_in_parts_that_are_small(both):
    stored, expected = both
    assert stored.stored
    assert len(stored) == 260
    same(stored, expected)
    assert [len(part) for part in stored.parts()] == [37, 13, 37, 3, 37, 13, 10, 37, 13, 37, 13, 10]


def test_what_is_taken_is_the_same(both):
    stored, expected = both
    kept = np.random.default_rng(5).random(260) < 0.3
    same(stored.take(kept), expected.take(kept))
    again = np.arange(0, kept.sum(), 3)
    same(stored.take(kept).take(again), expected.take(kept).take(again))
    only = stored.anchor_us == 207 * DAY_US
    same(stored.take(only), expected.take(only))
    assert len(list(stored.take(only).parts())) == 3
    with pytest.raises(ValueError, match="not ascending"):
        stored.take(np.array([3, 1]))


def test_other_dates_and_what_follows(both):
    stored, expected = both
    dates = stored.anchor_us // 2
    same(stored.dated(dates), expected.dated(dates))
    early, late = stored.take(np.arange(100)), stored.take(np.arange(100, 260))
    same(one_after_the_other(early, late), expected)
    same(one_after_the_other(expected.take(np.arange(100)), expected.take(np.arange(100, 260))), expected)


def test_the_sample_is_of_all_dates_and_always_the_same(both, monkeypatch):
    stored, _ = both
    monkeypatch.setattr(stored_examples, "SAMPLE_ROWS", 80)
    assert len(stored.sample) == 80
    assert stored.sample is stored.sample
    assert stored.take(np.arange(50)).sample.features.n == 50
    before = stored.sample
    stored.forget_sample()
    assert stored.sample is not before
    np.testing.assert_array_equal(stored.sample.user_id, before.user_id)


def test_a_network_lets_go_of_the_sample_before_it_trains(both, monkeypatch):
    stored, _ = both
    held = []
    monkeypatch.setattr(
        "training.models.network.member.encode_rows", lambda *told: held.append("sample" in vars(stored)) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        member("mlp").fit(stored, None, FitSettings(7))
    assert held == [False]


@pytest.mark.parametrize("name", ["constant_rate", "recency", "bg_nbd", "logistic_regression", "boosted_trees"])
def test_a_member_cannot_tell(name, both):
    fits = [member(name).fit(one.take(np.arange(150)), one.take(np.arange(150, 260)), FitSettings(7)) for one in both]
    features = both[1].features
    np.testing.assert_allclose(*(fitted.predict_proba(features) for fitted in fits), atol=1e-9)


def test_a_network_learns_from_disk_what_it_learns_from_memory(both, monkeypatch):
    monkeypatch.setattr("training.models.network.rows.SHARD_ROWS", 64)
    told = FitSettings(7, parameters={"epochs": 2, "units": 4, "hidden": 4, "batch": 16, "steps": 2})
    stored, expected = both
    fits = [member("sequence_gru").fit(one, one, told) for one in (stored, expected)]
    assert fits[0].spec == fits[1].spec
    p = [fitted.predict_proba(expected.features) for fitted in fits]
    assert np.abs(p[0] - p[1]).max() < 0.1  # batches are drawn in another order
    assert fits[0].history.validation == pytest.approx(fits[1].history.validation, abs=0.05)
    assert fits[0].cut_lists == fits[1].cut_lists
    assert fits[0].cut_lists.longer == (expected.features.sequences["gap_before_days"].lengths > 2).sum() > 0
