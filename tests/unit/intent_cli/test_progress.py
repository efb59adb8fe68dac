"""What a long step says of itself: how far it is, how fast, and how long it will still take."""

import pytest

from intent_cli import progress as module


class Clock:
    """A clock that is moved by hand."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_line_has_share_rate_and_time_left(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with module.progress().task("joining features", 200_000, "anchors") as task:
        clock.now = 1.0
        task.advance(10_000)  # too soon to say
        clock.now = 4.0
        task.advance(40_000)
        clock.now = 10.0
        task.advance(150_000)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "  joining features: 50,000 of 200,000 anchors (25%), 12,500.0 anchors/s, 12 s left"
    assert said[-1] == "  joining features: 200,000 of 200,000 anchors (100%), 20,000.0 anchors/s, 0 s left"


def test_a_total_that_nobody_knows_leaves_out_share_and_time_left(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with module.progress().task("reading", 0, "rows") as task:
        clock.now = 4.0
        task.advance(100)
    assert capsys.readouterr().err.splitlines()[0] == "  reading: 100 rows, 25.0 rows/s"


def test_what_is_quick_or_quiet_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with module.progress().task("joining features", 10, "anchors") as task:
        clock.now = 1.0
        task.advance(10)
    with module.progress(quiet=True).task("joining features", 10, "anchors") as task:
        clock.now = 9.0
        task.advance(10)
    assert capsys.readouterr().err == ""
