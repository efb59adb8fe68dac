"""What a person and a program read of a comparison, and when a pattern is named."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from training.consistency.check import Consistency, ViewComparison
from training.consistency.compare import FeatureComparison, compare_columns
from training.consistency.hints import Hint, _one_off, _shorter, _zone
from training.consistency.report import as_dict, lines, write_page
from training.consistency.served_log import LogFacts

HOUR_US = 3_600_000_000


def compared(served: list, offline: list, kind=None) -> FeatureComparison:
    return compare_columns(pa.array(served, kind), pa.array(offline, kind))[0]


@pytest.fixture
def found() -> Consistency:
    view = ViewComparison(
        rows=3,
        differing=2,
        status=Counter(fresh=2, stale=1),
        features={
            "spent": compared([1.0, None, 2.5], [1.0, 2.0, 2.0]),
            "<b>odd</b>": compared([[1], [2, 3], []], [[1], [3], []]),
        },
        hints=[Hint("stale", "rows equal what was known earlier", 2, 2)],
    )
    facts = LogFacts(
        parts=2, cut=1, rows=3, dropped=7, unanswered=4, models=Counter({"m:1": 3}), services=Counter({"s": 2})
    )
    at = datetime(2001, 2, 5, tzinfo=UTC)
    return Consistency(facts, 0.0, vectors=3, differing=2, first=at, last=at, views={"user_history": view})


def test_a_terminal_shows_only_what_differs(found: Consistency) -> None:
    text = "\n".join(lines(found))
    assert "3 served vectors" in text
    assert "not compared: 7 dropped by the service" in text
    assert "not compared: 4 given without a store" in text
    assert "1 of 2 parts end in the middle" in text
    assert "spent: 1 mismatches, 1 missing online, difference up to 0.5, 0.5 on average (of 3)" in text
    assert "edit distance up to 1, 1.0 on average" in text
    assert "looks like stale: rows equal what was known earlier (2 of 2)" in text
    found.views["user_history"].features["fine"] = compared([1], [1])
    assert "fine" not in "\n".join(lines(found))


def test_a_program_gets_all_of_it(found: Consistency) -> None:
    told = json.loads(json.dumps(as_dict(found), allow_nan=False))
    assert told["agrees"] is False
    assert told["log"]["models"] == {"m:1": 3}
    assert told["views"]["user_history"]["features"]["spent"] == {
        "rows": 3,
        "exact": 1,
        "unknown_on_both_sides": 0,
        "mismatches": 1,
        "missing_served": 1,
        "missing_offline": 0,
        "largest_difference": 0.5,
        "mean_difference": 0.5,
        "mean_edit_distance": None,
        "largest_edit_distance": None,
    }


def test_an_infinite_difference_is_json_too(found: Consistency) -> None:
    found.views["user_history"].features["spent"] = compared([float("inf")], [1.0])
    assert (
        json.loads(json.dumps(as_dict(found), allow_nan=False))["views"]["user_history"]["features"]["spent"][
            "largest_difference"
        ]
        is None
    )


@pytest.mark.parametrize(("limit", "agrees"), [(0.0, False), (0.5, False), (2 / 3, True), (1.0, True)])
def test_the_limit_is_a_share_of_a_features_rows(found: Consistency, limit: float, agrees: bool) -> None:
    found.limit = limit
    assert found.agrees is agrees


def test_the_page_stands_alone(found: Consistency, tmp_path: Path) -> None:
    write_page(tmp_path / "consistency.html", found)
    page = (tmp_path / "consistency.html").read_text()
    assert "&lt;b&gt;odd&lt;/b&gt;" in page
    assert not any(word in page for word in ("<script", "http://", "https://", "<link"))
    assert "2 features differ" in page
    found.views["user_history"].features = {"spent": compared([1.0], [1.0])}
    write_page(tmp_path / "consistency.html", found)
    assert "every value has the same bits on both sides" in (tmp_path / "consistency.html").read_text()


def test_a_time_zone_is_named_only_where_all_moments_are_off_alike() -> None:
    moments = [10**15 + 17 * number for number in range(20)]
    shifted = [moment + 8 * HOUR_US for moment in moments]
    hint = _zone("bought_at", compared(shifted, moments))
    assert hint is not None
    assert (hint.kind, hint.shown, hint.of) == ("time zone", 20, 20)
    assert "+8 hours" in hint.text
    assert _zone("revenue", compared(shifted, moments)) is None
    assert _zone("bought_at", compared([m + 8 * HOUR_US + 1 for m in moments], moments)) is None
    assert _zone("bought_at", compared([m + 15 * HOUR_US for m in moments], moments)) is None
    assert _zone("bought_at", compared(shifted[:15] + [m + 1 for m in moments[15:]], moments)) is None
    assert _zone("bought_at", compared(moments, moments)) is None


def test_off_by_one_is_named_only_where_all_differ_by_one() -> None:
    assert _one_off("count", compared([2.0, 3.0, 5.0], [1.0, 4.0, 5.0])) == Hint(
        "off by one", "count differs by exactly 1: a window's border", 2, 2
    )
    assert _one_off("count", compared([2.0, 3.0], [1.0, 5.0])) is None


def test_another_length_is_named_only_where_the_oldest_lack() -> None:
    kind = pa.list_(pa.int64())
    assert _shorter("list", compared([[2, 3], [3]], [[1, 2, 3], [2, 3]], kind)) is not None
    assert _shorter("list", compared([[2, 3], [1]], [[1, 2, 3], [1, 2]], kind)) is None
