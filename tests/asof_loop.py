"""Cases of point-in-time joins, and what a brute-force loop over Python objects says of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
from hypothesis import Phase, given, seed, settings

LONG_KEY = "key-" * 5_000
KEYS = ["a", "b", "", "ä", "a\x1fb", "日本", LONG_KEY, None]


@dataclass(frozen=True)
class Row:
    """A feature row: key, event time, creation time (both relative microseconds), value."""

    key: str | None
    event: int | None
    created: int | None
    value: int | None


@dataclass(frozen=True)
class Case:
    """Rows in file order, anchors in caller order, and the rules of the view."""

    rows: list[Row]
    anchors: list[tuple[str | None, int]]
    ttl: int
    has_created: bool
    known_only: bool
    length: int
    files: int


# Few distinct moments and one busy key, so that ties, equal creation times and TTL edges come up all the time.
keys = st.sampled_from(["a", "a", "a", "b", *KEYS])
rows = st.builds(
    Row,
    key=keys,
    event=st.sampled_from([*range(7), *range(7), *range(7), None]),
    created=st.sampled_from([*range(7), *range(7), None]),
    value=st.integers(-5, 5) | st.none(),
)
anchors = st.tuples(keys, st.sampled_from(range(9)))
cases = st.builds(
    Case,
    rows=st.lists(rows, max_size=25) | st.lists(rows, min_size=8, max_size=25),
    anchors=st.lists(anchors, max_size=10) | st.lists(anchors, min_size=3, max_size=10),
    ttl=st.sampled_from([0, 1, 3, 1_000]),
    has_created=st.sampled_from([True, True, False]),
    known_only=st.booleans(),
    length=st.integers(1, 4),
    files=st.integers(1, 3),
)


def counting(case: Case, key: str | None, t: int) -> list[int]:
    """The place of every row that counts for one anchor, from the least to the most preferred."""
    chosen: list[tuple[int, float, int]] = []
    for place, row in enumerate(case.rows):
        if key is None or row.key != key or row.event is None or row.event > t:
            continue
        if case.ttl and row.event < t - case.ttl:
            continue
        created = row.created if case.has_created else None
        if case.has_created and case.known_only and (created is None or created > t):
            continue
        chosen.append((row.event, -math.inf if created is None else created, place))
    return [place for *_, place in sorted(chosen)]


def expected_places(case: Case) -> list[int | None]:
    found = [counting(case, key, t) for key, t in case.anchors]
    return [places[-1] if places else None for places in found]


def expected_latest(case: Case) -> list[int | None]:
    return [None if place is None else case.rows[place].value for place in expected_places(case)]


def expected_sequences(case: Case) -> list[list[int]]:
    found = [counting(case, key, t)[-case.length :] for key, t in case.anchors]
    return [[case.rows[place].value or 0 for place in places] for places in found]


def cuts(case: Case) -> list[int]:
    """Where the files of a case begin and end."""
    return [len(case.rows) * i // case.files for i in range(case.files + 1)]


@dataclass(frozen=True)
class Sheet:
    """Cases under one rule in the same files, kept apart by a second key: one join answers all of them.

    Each case's rows lie in as many files as they would alone, in the same order.
    """

    cases: list[Case]

    @property
    def rule(self) -> Case:
        """The case whose TTL, creation times, length and number of files hold for all."""
        return self.cases[0]

    @property
    def rows(self) -> list[list[tuple[int, Row]]]:
        """The rows of each file, each with the number of its case."""
        files: list[list[tuple[int, Row]]] = [[] for _ in range(self.rule.files)]
        for number, case in enumerate(self.cases):
            for file, (first, end) in zip(files, pairwise(cuts(case)), strict=True):
                file.extend((number, row) for row in case.rows[first:end])
        return files

    @property
    def anchors(self) -> list[tuple[int, str | None, int]]:
        """Case, key and moment of all anchors."""
        return [(number, key, t) for number, case in enumerate(self.cases) for key, t in case.anchors]

    def matches(self) -> list[tuple[int, int]]:
        """Each anchor that has an answer, and the answer's file and row as one number."""
        places: list[list[int]] = [[] for _ in self.cases]
        for file, rows in enumerate(self.rows):
            for place, (number, _) in enumerate(rows):
                places[number].append((file << 40) + place)
        found = [
            None if place is None else places[number][place]
            for number, case in enumerate(self.cases)
            for place in expected_places(case)
        ]
        return [(r, place) for r, place in enumerate(found) if place is not None]


def sheets_of(many: list[Case]) -> list[Sheet]:
    """Lay out cases of one rule together, none twice."""
    by_rule: dict[tuple[Any, ...], list[Case]] = {}
    for case in many:
        rule = (case.ttl, case.has_created, case.known_only, case.length, case.files)
        by_rule.setdefault(rule, []).append(case)
    return [Sheet(list(part)) for like in by_rule.values() for part in batched(like, CASES_OF_A_SHEET)]


def batched(items: list[Case], size: int) -> Iterator[list[Case]]:
    """Cut a list into parts of at most `size`."""
    for first in range(0, len(items), size):
        yield items[first : first + size]


def generated(count: int, options: settings, start: int = 0) -> list[Case]:
    """Let hypothesis make up cases, without looking at them: its strategies vary one small case better than fifty."""
    found: list[Case] = []

    @seed(start)
    @settings(options, max_examples=count, phases=[Phase.generate])
    @given(case=cases)
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


def distinct(many: list[Case]) -> int:
    """How many of the cases are like no other."""
    rules = [(case.ttl, case.has_created, case.known_only, case.length, case.files) for case in many]
    return len({(tuple(case.rows), tuple(case.anchors), rule) for case, rule in zip(many, rules, strict=True)})


CASES_OF_A_SHEET = 50
