import numpy as np

from intent_stores.sequence_windows import SortedEvents, last_events


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def windows(
    events: SortedEvents, key: np.ndarray, t: np.ndarray, length: int, ttl: int | None = None
) -> list[list[int]]:
    found = last_events(events, key, t, length, ttl)
    parts = np.split(found.index, found.offsets[1:-1])
    assert [part[-1] if len(part) else -1 for part in parts] == found.last.tolist()
    return [part.tolist() for part in parts]


def test_events_of_the_right_key_up_to_and_including_t() -> None:
    events = SortedEvents(ints(0, 0, 0, 2, 2), ints(1, 2, 3, 1, 5), ints(1, 2, 3, 1, 5))
    assert windows(events, ints(0, 0, 1, 2, -1), ints(2, 9, 9, 1, 9), 2) == [[0, 1], [1, 2], [], [3], []]


def test_the_ttl_includes_its_edge() -> None:
    events = SortedEvents(ints(0, 0, 0), ints(1, 2, 3), ints(1, 2, 3))
    assert windows(events, ints(0, 0), ints(4, 5), 9, ttl=2) == [[1, 2], [2]]


def test_an_anchor_goes_back_as_far_as_it_must_for_known_events() -> None:
    count = 1_000
    known = np.full(count, 10**6)
    known[[0, 7, 500]] = 0
    events = SortedEvents(np.zeros(count, dtype=np.int64), np.arange(count), known.astype(np.int64))
    assert windows(events, ints(0, 0), ints(count, 600), 2) == [[7, 500], [7, 500]]
    assert windows(events, ints(0), ints(count), 5) == [[0, 7, 500]]


def test_no_events_at_all() -> None:
    assert windows(SortedEvents(ints(), ints(), ints()), ints(0, -1), ints(3, 4), 2) == [[], []]
