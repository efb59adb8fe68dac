"""Counts of the comparison against a plain loop over Python values, and edit distances against the textbook's table."""

import math
import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.consistency.compare import FeatureComparison, compare_columns
from training.consistency.edit_distance import edit_distance

KINDS = {
    pa.float64(): st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf, -math.inf, 1e308]) | st.floats(),
    pa.float32(): st.sampled_from([0.0, -0.0, 1.5, math.nan]) | st.floats(width=32),
    pa.int64(): st.integers(-2, 2) | st.integers(-(2**63), 2**63 - 1),
    pa.string(): st.sampled_from(["", "a", "ä"]),
    pa.bool_(): st.booleans(),
}


def unknown(cell) -> bool:
    return cell is None or cell == [] or (isinstance(cell, float) and math.isnan(cell))


def same(one, other) -> bool:
    if unknown(one) or unknown(other):
        return unknown(one) and unknown(other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    return one == other


def counted(served: list, offline: list) -> dict[str, int]:
    pairs = list(zip(served, offline, strict=True))
    differ = [(one, other) for one, other in pairs if not same(one, other)]
    return {
        "rows": len(pairs),
        "exact": len(pairs) - len(differ),
        "unknown": sum(unknown(one) and unknown(other) for one, other in pairs),
        "mismatches": sum(not unknown(one) and not unknown(other) for one, other in differ),
        "missing_served": sum(unknown(one) for one, _ in differ),
        "missing_offline": sum(unknown(other) for _, other in differ),
    }


def columns(cell, kind):
    pair = st.tuples(cell, cell) | cell.map(lambda value: (value, value))
    return st.lists(pair, max_size=12).map(lambda pairs: (kind, [p[0] for p in pairs], [p[1] for p in pairs]))


scalars = st.one_of(*(columns(st.none() | cell, kind) for kind, cell in KINDS.items()))
lists = st.one_of(
    *(columns(st.none() | st.lists(cell, max_size=4), pa.list_(kind)) for kind, cell in KINDS.items()),
)


@given(scalars | lists)
@settings(deadline=None)
def test_counts_are_those_of_a_loop(drawn) -> None:
    kind, served, offline = drawn
    found, differing = compare_columns(pa.array(served, kind), pa.chunked_array([pa.array(offline, kind)]))
    wanted = counted(served, offline)
    assert {name: getattr(found, name) for name in wanted} == wanted
    assert differing.tolist() == [not same(one, other) for one, other in zip(served, offline, strict=True)]
    assert found.differing == found.mismatches + found.missing_served + found.missing_offline


@given(st.lists(st.tuples(*[st.none() | st.floats(-1e6, 1e6)] * 2), max_size=20))
@settings(deadline=None)
def test_differences_are_those_of_a_loop(pairs) -> None:
    served, offline = [one for one, _ in pairs], [other for _, other in pairs]
    found, _ = compare_columns(pa.array(served, pa.float64()), pa.array(offline, pa.float64()))
    sizes = [abs(one - other) for one, other in pairs if None not in (one, other) and not same(one, other)]
    assert found.largest == max(sizes, default=0.0)
    assert found.measured == len(sizes)
    assert found.mean_difference == (pytest.approx(sum(sizes) / len(sizes)) if sizes else None)


def test_lists_of_equal_length_are_measured_place_by_place_and_others_by_edits() -> None:
    served = pa.array([[1.0, 2.0], [1.0], [3.0, 4.0, 5.0], []], pa.list_(pa.float64()))
    offline = pa.array([[1.0, 2.5], [1.0, 2.0], [4.0, 5.0], [1.0]], pa.list_(pa.float64()))
    found, _ = compare_columns(served, offline)
    assert (found.largest, found.mean_difference) == (0.5, 0.5)
    assert (found.edits, found.edited, found.most_edits) == (4, 4, 1)
    assert (found.mismatches, found.missing_served) == (3, 1)


def test_a_list_without_its_oldest_is_known_as_such() -> None:
    served, offline = pa.array([[2, 3], [1, 2], [3]]), pa.array([[1, 2, 3], [1, 2, 3], [1, 2, 3]])
    found, _ = compare_columns(served, offline)
    assert (found.edited, found.older_left_out) == (3, 2)


@given(st.lists(st.tuples(*[st.none() | st.integers(0, 3)] * 2), max_size=20), st.integers(0, 20))
@settings(deadline=None)
def test_two_pieces_added_are_the_whole(pairs, cut: int) -> None:
    def compared(part) -> FeatureComparison:
        return compare_columns(*(pa.array([pair[side] for pair in part], pa.int64()) for side in (0, 1)))[0]

    found = FeatureComparison()
    found.add(compared(pairs[:cut]))
    found.add(compared(pairs[cut:]))
    assert found == compared(pairs)


@given(st.lists(st.integers(0, 3), max_size=9), st.lists(st.integers(0, 3), max_size=9))
@settings(deadline=None)
def test_edit_distance_is_the_textbooks(one: list[int], other: list[int]) -> None:
    table = np.zeros((len(one) + 1, len(other) + 1), int)
    table[:, 0], table[0, :] = np.arange(len(one) + 1), np.arange(len(other) + 1)
    for i, a in enumerate(one, 1):
        for j, b in enumerate(other, 1):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a != b))
    assert edit_distance(one, other) == table[-1, -1]


def test_edit_distance_knows_nan_and_signed_zero() -> None:
    assert edit_distance([math.nan, 1.0], [math.nan, 1.0]) == 0
    assert edit_distance([0.0], [-0.0]) == 1
