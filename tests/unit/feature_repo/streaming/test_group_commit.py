"""Threads that share commits: nobody is forgotten, whoever fails or is interrupted while others wait."""

import threading
import time
from typing import Any

import pytest

from feature_repo.streaming import group_commit
from feature_repo.streaming.group_commit import GroupCommit
from feature_repo.streaming.outbox import Receipt


class SlowOutbox:
    """Notes each group; `fails` says of which event ids it refuses a group."""

    def __init__(self, fails: set[str] | None = None) -> None:
        self.groups: list[list[str]] = []
        self.fails = fails or set()

    def append(self, judged: Any, now_us: int) -> list[Receipt]:
        self.groups.append([name for name, _ in judged])
        time.sleep(0.05)
        if self.fails & set(self.groups[-1]):
            raise OSError("refused")
        return [Receipt(now_us, is_new=True) for _ in judged]


def push(commits: GroupCommit, name: str, told: dict[str, Any]) -> threading.Thread:
    def work() -> None:
        try:
            told[name] = commits.append([(name, None)], 7)  # type: ignore[list-item]
        except BaseException as error:
            told[name] = error

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def all_of(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "somebody was forgotten"


def test_who_comes_while_another_commits_shares_the_next_commit() -> None:
    outbox, told = SlowOutbox(), {}
    commits = GroupCommit(outbox)  # type: ignore[arg-type]
    threads = [push(commits, "first", told)]
    while not outbox.groups:
        time.sleep(0.001)
    all_of([*threads, *(push(commits, f"n{number}", told) for number in range(30))])
    assert outbox.groups[0] == ["first"]
    assert sorted(name for group in outbox.groups[1:] for name in group) == sorted(f"n{number}" for number in range(30))
    assert len(outbox.groups) < 10
    assert all(receipts == [Receipt(7, is_new=True)] for receipts in told.values())


def test_a_refused_group_is_told_and_the_next_one_goes_on() -> None:
    outbox, told = SlowOutbox({"bad"}), {}
    commits = GroupCommit(outbox)  # type: ignore[arg-type]
    threads = [push(commits, "bad", told)]
    while not outbox.groups:
        time.sleep(0.001)
    all_of([*threads, push(commits, "good", told)])
    assert isinstance(told["bad"], OSError)
    assert told["good"] == [Receipt(7, is_new=True)]


@pytest.mark.parametrize("when", ["before its turn", "at its turn"])
def test_an_interrupted_thread_keeps_nobody_waiting(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if when == "at its turn":
                super().wait()
            raise KeyboardInterrupt

    class Waiting(group_commit._Waiting):
        def __init__(self, judged: Any, now_us: int) -> None:
            super().__init__(judged, now_us)
            if judged[0][0] == "interrupted":
                self.turn = Interrupted()

    monkeypatch.setattr(group_commit, "_Waiting", Waiting)
    outbox, told = SlowOutbox(), {}
    commits = GroupCommit(outbox)  # type: ignore[arg-type]
    threads = [push(commits, "first", told)]
    while not outbox.groups:
        time.sleep(0.001)
    threads.append(push(commits, "interrupted", told))
    while len(commits._queue) < 1 and "interrupted" not in told:
        time.sleep(0.001)
    all_of([*threads, push(commits, "last", told)])
    assert isinstance(told["interrupted"], KeyboardInterrupt)
    assert outbox.groups == [["first"], ["last"]]
    assert told["last"] == [Receipt(7, is_new=True)]
