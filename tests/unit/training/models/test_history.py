"""What a history says about a fit: whether its epochs were over while it was still getting better."""

import pytest

from training.models.contract import NO_WORSE, History

FALLING = [0.30, 0.29, 0.285, 0.283, 0.282, 0.2815, 0.2811, 0.2807]


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (History("epoch", validation=FALLING, best=8), True),
        (History("epoch", validation=FALLING, best=7), False),  # the last one was no better
        (History("epoch", validation=[*FALLING[:5], 0.2820, 0.2819, 0.2820 - NO_WORSE / 2], best=8), False),
        (History("epoch", validation=FALLING[:3], best=3), False),  # so few epochs were meant
        (History("round", validation=FALLING, best=8), False),  # rounds are cut where they were best
        (History("epoch", train=FALLING, best=8), False),  # nothing judged it
        (History(), False),
    ],
)
def test_more_epochs_are_worth_a_try_only_if_the_last_ones_helped(history: History, expected: bool) -> None:
    assert history.stopped_too_soon is expected
