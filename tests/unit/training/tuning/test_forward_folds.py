from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.errors import SplitError
from tests.unit.training.tuning.conftest import WEEK_US, weekly_examples
from training.tuning.forward_folds import forward_folds

DAY_US = WEEK_US // 7


@given(st.integers(2, 20), st.integers(1, 30), st.integers(1, 6), st.integers(0, 99))
def test_nothing_is_fitted_whose_label_was_open_when_it_is_judged(dates, step_days, count, seed):
    examples = weekly_examples(customers=12, dates=dates, seed=seed)
    examples = examples.dated(examples.anchor_us // WEEK_US * step_days * DAY_US)
    try:
        folds = forward_folds(examples, 7.0, count)
    except SplitError:
        return
    at, judged = examples.anchor_us, []
    for fold in folds:
        origin = at[fold.judged].min()
        assert (at[fold.known] + WEEK_US <= origin).all()
        assert set(fold.fit) | set(fold.stop) <= set(fold.known)
        if len(fold.stop):
            assert (at[fold.fit] + WEEK_US <= at[fold.stop].min()).all()
        for rows in (fold.fit, fold.known, fold.judged):
            assert len(np.unique(examples.label[rows])) == 2
        judged += fold.judged.tolist()
    assert len(judged) == len(set(judged))
    assert len(folds) <= count


def test_the_later_half_is_judged_in_three_blocks():
    examples = weekly_examples()
    weeks = [np.unique(examples.anchor_us[fold.judged]) // WEEK_US for fold in forward_folds(examples, 7.0)]
    assert [week.tolist() for week in weeks] == [[4, 5], [6], [7]]


@pytest.mark.parametrize("dates", [1, 2])
def test_too_few_dates_are_refused(dates):
    examples = weekly_examples(dates=dates)
    with pytest.raises(SplitError, match=f"{dates} anchor dates, none of which can be judged"):
        forward_folds(replace(examples, label=np.zeros_like(examples.label)), 7.0)
