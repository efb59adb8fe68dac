import numpy as np
import pytest

from training.evaluation.bootstrap import Interval
from training.evaluation.rounding import alike

NAN = float("nan")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (0.4, np.nextafter(0.4, 1), True),
        (0.4, 0.40001, False),
        (NAN, float("nan"), True),
        (NAN, 0.4, False),
        (None, None, True),
        (None, NAN, False),
        ([0.3, None], (np.nextafter(0.3, 0), None), True),
        ([0.3], [0.3, 0.4], False),
        (Interval(0.3, NAN), Interval(0.3, float("nan")), True),
        (Interval(0.3, 0.4), Interval(0.3, 0.5), False),
        ({"a": {"b": [0.3]}}, {"a": {"b": [np.nextafter(0.3, 1)]}}, True),
        ({"a": 0.3}, {"a": 0.3, "b": 0.3}, False),
        ({"a": 0.3}, None, False),
    ],
)
def test_alike_is_the_same_but_for_rounding(one, other, same):
    assert alike(one, other) is same
    assert alike(other, one) is same
