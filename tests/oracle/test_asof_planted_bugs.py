"""The oracle of the joins finds what is wrong: each bug is planted in one step of a join, and the loop must differ."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import numpy as np
import pytest

from intent_stores import latest_known, point_in_time, sequence_gather, spilling_match
from intent_stores.duckdb_session import SessionLimits, duckdb_session
from tests.asof_loop import Case, Sheet, generated, sheets_of
from tests.oracle.test_asof_oracle import JOIN, compare_join

order, known, found = latest_known._least_to_most_preferred, latest_known._last_known, latest_known.latest_known
match, candidates, last_events = spilling_match._match, spilling_match._candidates, sequence_gather.last_events


def without_created_ties(moments: Any, rows: Any) -> Any:
    return order(moments, replace(rows, created=None))


def first_of_the_file(moments: Any, rows: Any) -> Any:
    return order(moments, replace(rows, place=-rows.place))


def known_when_it_happens(rows: Any, created: Any, *rest: Any) -> Any:
    return known(rows, np.minimum(rows.event, created), *rest)


def with_a_ttl_one_shorter(rows: Any, key: Any, t: Any, ttl_us: int | None) -> Any:
    return found(rows, key, t, None if ttl_us is None else ttl_us - 1)


def before_the_moment(rows: Any, key: Any, t: Any, ttl_us: int | None) -> Any:
    return found(rows, key, t - 1, ttl_us)


def spilling_without_the_edge(plan: Any) -> str:
    return match(plan).replace(f"<= {plan.ttl_us}", f"< {plan.ttl_us}")


def spilling_with_what_is_overtaken(plan: Any) -> str:
    return candidates(plan).split(" QUALIFY ")[0]


def one_event_fewer(events: Any, key: Any, t: Any, length: int, ttl_us: int | None) -> Any:
    return last_events(events, key, t, max(1, length - 1), ttl_us)


def whatever_was_known(events: Any, *rest: Any) -> Any:
    return last_events(replace(events, known=events.event), *rest)


BUGS: dict[str, tuple[ModuleType, str, Callable[..., Any]]] = {
    "creation times do not order ties": (latest_known, "_least_to_most_preferred", without_created_ties),
    "ties go to the first of the file": (latest_known, "_least_to_most_preferred", first_of_the_file),
    "a row is known when it happens": (latest_known, "_last_known", known_when_it_happens),
    "the TTL leaves out its edge": (point_in_time, "latest_known", with_a_ttl_one_shorter),
    "a row at the moment itself does not count": (point_in_time, "latest_known", before_the_moment),
    "spilling: the TTL leaves out its edge": (spilling_match, "_match", spilling_without_the_edge),
    "spilling: a row that was overtaken counts": (spilling_match, "_candidates", spilling_with_what_is_overtaken),
    "sequences: one event fewer": (sequence_gather, "last_events", one_event_fewer),
    "sequences: late events are not left out": (sequence_gather, "last_events", whatever_was_known),
}


@pytest.fixture(scope="module")
def many() -> list[Case]:
    return generated(400, JOIN)


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str, many: list[Case], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(*BUGS[bug])
    with duckdb_session(SessionLimits(threads=1)) as connection:
        assert any(differs(sheet, connection, tmp_path) for sheet in sheets_of(many))


def differs(sheet: Sheet, connection: duckdb.DuckDBPyConnection, folder: Path) -> bool:
    try:
        compare_join(sheet, connection, folder)
    except AssertionError:
        return True
    return False
