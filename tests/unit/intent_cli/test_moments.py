"""Moments on the command line: zones are respected, UTC is meant without one, everything else is refused."""

import pytest

from feature_repo.errors import RequestError
from intent_cli.moments import moment_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2001-02-19", "2001-02-19T00:00:00+00:00"),
        ("2001-02-19T12:30", "2001-02-19T12:30:00+00:00"),
        ("2001-02-19T00:00:00+08:00", "2001-02-18T16:00:00+00:00"),
        ("2001-02-19T00:00:00Z", "2001-02-19T00:00:00+00:00"),
    ],
)
def test_a_moment_is_read_with_its_zone(text, expected) -> None:
    assert moment_of(text).isoformat() == expected


@pytest.mark.parametrize("text", ["982540800", "19.02.2001", "2001-13-01", "0001-01-01T00:00:00+14:00", "soon", ""])
def test_anything_else_is_refused(text) -> None:
    with pytest.raises(RequestError, match="is not a moment; expected ISO 8601"):
        moment_of(text)


def test_none_stays_none() -> None:
    assert moment_of(None) is None
