import numpy as np
import pytest

from intent_stores.ragged import bisect_runs, count_true, offsets_of, run_indices


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_run_indices_of_several_runs_some_empty() -> None:
    assert run_indices(ints(5, 0, 9, 2), ints(2, 0, 1, 3)).tolist() == [5, 6, 9, 2, 3, 4]


def test_run_indices_of_nothing() -> None:
    assert run_indices(ints(), ints()).tolist() == []


def test_offsets_begin_at_zero_and_end_with_the_total() -> None:
    assert offsets_of(ints(2, 0, 3)).tolist() == [0, 2, 2, 5]


def test_count_true_counts_within_each_run() -> None:
    mask = np.array([True, False, True, True])
    assert count_true(mask, ints(2, 0, 2)).tolist() == [1, 0, 2]


@pytest.mark.parametrize("after_equal", [True, False])
def test_bisect_runs_equals_searchsorted_on_each_run(after_equal: bool) -> None:
    random = np.random.default_rng(4)
    runs = [np.sort(random.integers(0, 9, random.integers(0, 12))) for _ in range(50)]
    values = np.concatenate(runs).astype(np.int64)
    ends = np.cumsum([len(run) for run in runs])
    begins, sought = ends - [len(run) for run in runs], random.integers(-1, 10, 50)
    found = bisect_runs(values, begins, ends, sought, after_equal)
    side = "right" if after_equal else "left"
    expected = [b + np.searchsorted(run, s, side=side) for b, run, s in zip(begins, runs, sought, strict=True)]
    assert found.tolist() == expected


def test_bisect_runs_over_no_values() -> None:
    assert bisect_runs(ints(), ints(0, 0), ints(0, 0), ints(1, 2), True).tolist() == [0, 0]
