"""Merged sequences against a plain loop: any split of events into rows, in any order, repeated, ends the same."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intent_stores.errors import ConfigurationError, FeatureValueError
from intent_stores.packed_codec import RowTimes, decode_rows, encode_rows
from intent_stores.packed_merge import SequenceRule, merge_lists
from intent_stores.packed_schema import PackedSchema
from intent_stores.ragged_column import Ragged

FIELDS = {"at": "Array(Int64)", "known": "Array(Int64)", "id": "Array(Int64)", "item": "Array(String)"}
SCHEMA = PackedSchema(FIELDS)
RULE = SequenceRule(4, event_id="id", event_time="at", created_time="known")

Row = list[tuple[int, int, int, str]]  # (at, known, id, item)

# An id says everything about its event, as a log's does: few moments, so that most of them tie.
event = st.integers(0, 30).map(lambda number: (number % 4, number % 3, number * 7919 % 31, f"i{number % 5}"))
row = st.lists(event, max_size=6)


def packed(rows: list[Row]) -> list[bytes]:
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    flat = [element for one in rows for element in one]
    columns: dict[str, Any] = {}
    for place, (name, kind) in enumerate(FIELDS.items()):
        values = np.array([element[place] for element in flat], object if "String" in kind else np.int64)
        columns[name] = Ragged(values, offsets)
    event_us = [max((e[0] for e in one), default=0) for one in rows]
    created_us = [max((e[1] for e in one), default=0) for one in rows]
    return encode_rows(SCHEMA, columns, RowTimes.of(event_us, created_us))


def unpacked(values: list[bytes]) -> list[Row]:
    found = decode_rows(SCHEMA, values).values
    return [
        list(zip(*(found[name][place].tolist() for name in FIELDS), strict=True))  # type: ignore[union-attr]
        for place in range(len(values))
    ]


def by_hand(events: Row, length: int) -> Row:
    different = {e[2]: e for e in events}
    return sorted(different.values(), key=lambda e: (e[0], e[1], e[2]))[-length:]


@given(st.lists(st.tuples(st.integers(0, 2), row), max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_any_order_and_any_batches_end_as_a_loop_over_all_events(arriving, random) -> None:
    everything = [[e for key, one in arriving if key == wanted for e in one] for wanted in range(3)]
    random.shuffle(arriving)
    held: list[bytes | None] = [None, None, None]
    while arriving:
        size = random.randint(1, len(arriving))
        batch, arriving = arriving[:size], arriving[size:]
        for _ in range(random.randint(1, 2)):  # a repetition changes nothing
            keys = sorted({key for key, _ in batch})
            owner = [keys.index(key) for key, _ in batch]
            found = merge_lists(SCHEMA, RULE, [held[key] for key in keys], packed([one for _, one in batch]), owner)
            for key, value in zip(keys, found, strict=True):
                held[key] = value
    for value, events in zip(held, everything, strict=True):
        assert (unpacked([value])[0] if value else []) == by_hand(events, RULE.length)


def merged(rule: SequenceRule, *rows: Row) -> Row:
    held: list[bytes | None] = [None]
    for one in rows:
        held = list(merge_lists(SCHEMA, rule, held, packed([one]), [0]))
    return unpacked([held[0]])[0]  # type: ignore[list-item]


def test_without_an_id_equal_elements_of_one_push_are_different_and_of_two_pushes_the_same() -> None:
    line = (1, 1, 0, "bread")
    rule = SequenceRule(5, event_time="at", created_time="known")
    assert merged(rule, [line, line]) == [line, line]
    assert merged(rule, [line, line], [line]) == [line, line]
    assert merged(rule, [line], [line, line, line]) == [line, line, line]


def test_without_times_what_arrives_goes_behind_and_what_is_there_stays() -> None:
    a, b, c = (9, 0, 1, "a"), (5, 0, 2, "b"), (1, 0, 3, "c")
    rule = SequenceRule(3, event_id="id")
    assert merged(rule, [a], [b], [c]) == [a, b, c]
    assert merged(rule, [a, b], [a], [c]) == [a, b, c]


def test_a_correction_takes_the_place_of_its_event_unless_it_is_older() -> None:
    first, corrected = (1, 1, 7, "wrong"), (1, 2, 7, "right")
    assert merged(RULE, [first], [corrected]) == [corrected]
    assert merged(RULE, [corrected], [first]) == [corrected]


def test_the_rows_times_are_the_latest_of_all_that_went_in() -> None:
    late = merge_lists(SCHEMA, RULE, packed([[(9, 9, 1, "")]]), packed([[(2, 12, 2, "")]]), [0])
    times = decode_rows(SCHEMA, late).times
    assert (times.event_us[0], times.created_us[0]) == (9, 12)


def test_what_is_held_but_cannot_be_read_counts_as_nothing() -> None:
    other = encode_rows(PackedSchema({"n": "Int64"}), {"n": [1]}, RowTimes.of([1]))
    damaged = packed([[(1, 1, 1, "x")]])[0][:-1] + b"?"
    arriving = packed([[(2, 2, 2, "new")]] * 2)
    assert unpacked(merge_lists(SCHEMA, RULE, [*other, damaged], arriving, [0, 1])) == [[(2, 2, 2, "new")]] * 2


def test_lists_of_different_lengths_are_refused() -> None:
    values = np.array([1, 2])
    columns = {
        "at": Ragged(values, np.array([0, 2])), "known": Ragged(values, np.array([0, 2])),
        "id": Ragged(values, np.array([0, 2])), "item": Ragged(np.array(["x"], object), np.array([0, 1])),
    }  # fmt: skip
    with pytest.raises(FeatureValueError, match="different lengths"):
        merge_lists(SCHEMA, RULE, [None], encode_rows(SCHEMA, columns, RowTimes.of([1])), [0])


@pytest.mark.parametrize(
    ("fields", "tags", "says"),
    [
        ({"n": "Int64"}, {"sequence.length": "3"}, "no lists"),
        (FIELDS, {"sequence.length": "none"}, "1 or more"),
        (FIELDS, {"sequence.length": "3", "sequence.event_id": "key"}, "name no feature"),
    ],
)
def test_tags_that_do_not_fit_are_refused(fields, tags, says) -> None:
    with pytest.raises(ConfigurationError, match=says):
        SequenceRule.of("v", fields, tags)


def test_a_source_without_the_tag_has_no_rule() -> None:
    assert SequenceRule.of("v", FIELDS, {"owner": "someone"}) is None
    tags = {"sequence.length": "4", "sequence.event_id": "id"}
    tags |= {"sequence.event_time": "at", "sequence.created_time": "known"}
    assert SequenceRule.of("v", FIELDS, tags) == RULE
