from collections import Counter

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.adapters import repetitions
from training.adapters.repetitions import MaybeSeen, repeated

numbers = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**63, 2**64 - 1]))


@given(st.lists(numbers, max_size=40), st.integers(1, 9), st.integers(1, 7))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_numbers_that_come_more_than_once_whatever_the_parts(tmp_path, monkeypatch, several, part, block):
    monkeypatch.setattr(repetitions, "PART", part)
    monkeypatch.setattr(repetitions, "BLOCK", block)
    np.array(several, np.uint64).tofile(tmp_path / "ids")
    found = repeated(tmp_path / "ids", len(several)).tolist()
    assert sorted(found) == sorted(number for number, count in Counter(several).items() if count > 1)


@given(st.lists(st.lists(numbers, max_size=9), max_size=5))
@settings(deadline=None, max_examples=25)
def test_whoever_came_before_is_told_and_few_others(chunks):
    seen_before, maybe_seen = set(), MaybeSeen()
    for chunk in chunks:
        told = maybe_seen(np.array(chunk, np.uint64)).tolist()
        for number, may_be in zip(chunk, told, strict=True):
            assert may_be or number not in seen_before
            seen_before.add(number)


def test_few_numbers_are_taken_for_another():
    told = MaybeSeen()(np.random.default_rng(3).integers(0, 2**64, 200_000, np.uint64))
    assert told.mean() < 0.004
