"""What /readyz says of the outbox, without waiting for it."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from feature_repo.errors import DependencyDown
from feature_repo.streaming.outbox import Outbox
from services import outbox_watch
from services.event_contracts import EventBody
from services.event_intake import OUTBOX_VARIABLE, EventIntake
from services.online_url import VARIABLE
from services.outbox_watch import OutboxWatch
from services.request_handling import RequestHandling
from tests.waiting import until


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_watch, "_LOOK_SECONDS", 0.01)


@pytest.fixture
def watched() -> Iterator[Callable[[object], OutboxWatch]]:
    started: list[OutboxWatch] = []

    def begin(outbox: object) -> OutboxWatch:
        started.append(OutboxWatch(outbox))  # type: ignore[arg-type]
        started[-1].start()
        return started[-1]

    yield begin
    for watch in started:
        watch.close()


def test_a_database_that_goes_and_comes(watched: Callable, tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file stands where the outbox's folder should be")
    watch = watched(Outbox(f"sqlite:///{tmp_path}/folder/outbox.db"))
    until(watch.is_away, 20)
    (tmp_path / "folder").unlink()
    until(lambda: not watch.is_away(), 20)
    assert (tmp_path / "folder" / "outbox.db").exists()


def test_one_that_hangs_is_noticed_while_it_does(watched: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_watch, "_PATIENCE_SECONDS", 0.05)
    thaw = threading.Event()
    watch = watched(Mock(head=lambda: thaw.wait(20)))
    until(watch.is_away, 20)
    thaw.set()
    until(lambda: not watch.is_away(), 20)


def test_one_that_can_be_read_and_not_written_stays_away(watched: Callable) -> None:
    full = Mock(**{"append.side_effect": DependencyDown("the disk is full")})
    watch = watched(full)
    intake = EventIntake(Mock(**{"push.side_effect": DependencyDown("the disk is full")}), watch)
    assert intake.trouble() is None
    with pytest.raises(DependencyDown):
        intake.take([])
    until(lambda: full.append.call_count >= 3, 20)
    assert OUTBOX_VARIABLE in str(intake.trouble())
    full.append.side_effect = None
    until(lambda: intake.trouble() is None, 20)


def test_what_could_not_be_opened_is_told_without_its_password(tmp_path: Path) -> None:
    handling = RequestHandling(Mock())
    online = f"sqlite:///{tmp_path}/online.db?project=tiny"
    handling.open({OUTBOX_VARIABLE: "mysql://shop:secret@host/shop", VARIABLE: online})
    (told,) = handling.degraded()
    assert told.startswith("Events cannot be taken")
    assert "secret" not in told
    handling.close()


def test_events_are_taken_and_readiness_says_nothing(tmp_path: Path) -> None:
    handling = RequestHandling(Mock())
    online = f"sqlite:///{tmp_path}/online.db?project=tiny"
    handling.open({OUTBOX_VARIABLE: f"sqlite:///{tmp_path}/outbox.db", VARIABLE: online})
    assert handling.intake is not None
    event = '{"event_id": "1", "user_id": "u", "event_type": "view", "event_timestamp": "2024-05-01T00:00:00Z"}'
    receipts, _ = handling.intake.take([EventBody.model_validate_json(event)])
    assert [receipt.status for receipt in receipts] == ["accepted"]
    assert handling.degraded() == []
    handling.close()
