"""What `intent promote` makes of its options, and what becomes of the slots where nobody serves."""

import json
from pathlib import Path

import pytest

from feature_repo.errors import RequestError, SettingsError
from intent_cli import main
from intent_cli.commands.promote import slots_after
from intent_cli.promotion import Promotion, slots_folder
from services.model_slots import FOLDER_VARIABLE, Slots, read_slots, slots_stamp, write_slots
from services.worker_reports import ReportFile, WorkerReport
from training.settings import template

OLD, NEW = "purchase_intent:00000000000000aa", "purchase_intent:00000000000000bb"


def test_a_champion_takes_the_place_and_leaves_the_challenger() -> None:
    before = Slots(champion=OLD, challenger=NEW, challenger_share=0.2, shadow=True)
    other = "purchase_intent:00000000000000cc"
    assert slots_after(before, other, "champion", 0.0, False) == Slots(other, NEW, 0.2, True)
    assert slots_after(before, NEW, "champion", 0.0, False) == Slots(NEW)  # it has nobody to be compared with


def test_a_challenger_has_a_part_and_can_be_taken_out() -> None:
    before = Slots(champion=OLD)
    assert slots_after(before, NEW, "challenger", 0.1, False) == Slots(OLD, NEW, 0.1, False)
    assert slots_after(before, NEW, "challenger", 0.0, True) == Slots(OLD, NEW, 0.0, True)
    assert slots_after(Slots(OLD, NEW, 0.1, True), "none", "challenger", 0.0, False) == Slots(OLD)
    with pytest.raises(RequestError, match="without a part"):
        slots_after(before, NEW, "challenger", 0.0, False)
    with pytest.raises(RequestError, match="--alias challenger"):
        slots_after(before, NEW, "champion", 0.1, False)


def test_somebody_must_answer() -> None:
    with pytest.raises(RequestError, match="Somebody must answer"):
        slots_after(Slots(OLD), "none", "champion", 0.0, False)


def test_each_run_has_slots_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    for run in ("a_shop", "another"):
        (tmp_path / run).mkdir()
        told = {"model": OLD, "bento": "purchase_intent:1", "home": "../home"}  # of both
        (tmp_path / run / "published.json").write_text(json.dumps(told))
    ours, theirs = (Promotion.over(tmp_path / run) for run in ("a_shop", "another"))
    assert ours.models == theirs.models
    ours.carry_out(Slots(champion=NEW), 1.0)
    assert (ours.current().champion, theirs.current().champion) == (NEW, None)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "shared"))
    assert slots_folder(tmp_path / "a_shop") == slots_folder(tmp_path / "another") == tmp_path / "shared"


def test_a_relative_folder_is_refused_as_the_service_refuses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(FOLDER_VARIABLE, "slots")
    with pytest.raises(SettingsError, match="absolute path"):
        Promotion.over(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_it_is_refused_before_a_bento_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "intent.toml").write_text(template("ta_feng"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(FOLDER_VARIABLE, "slots")
    assert main.run(["publish", "--out", "run"]) == 1
    assert "absolute path" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["intent.toml"]


def test_where_nobody_serves_the_slots_wait(tmp_path: Path) -> None:
    assert Promotion(tmp_path, tmp_path / "slots").carry_out(Slots(champion=NEW), 1.0) == 0
    assert read_slots(tmp_path / "slots").champion == NEW


def test_a_worker_that_does_not_follow_puts_the_slots_back(tmp_path: Path) -> None:
    from feature_repo.errors import DependencyDown

    write_slots(tmp_path, Slots(champion=OLD))
    ReportFile(tmp_path).say(WorkerReport("here-1", "another generation", OLD, None))
    with pytest.raises(DependencyDown, match="Of 1 workers 1 did not say"):
        Promotion(tmp_path, tmp_path).carry_out(Slots(champion=NEW), 0.3)
    assert read_slots(tmp_path).champion == OLD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": 2}',
        '{"format": 1, "champion": "purchase_intent:../../etc"}',
        '{"format": 1, "champion": 1}',
        '{"format": 1, "challenger_share": 0.5}',
        '{"format": 1, "challenger": "purchase_intent:00000000000000bb", "challenger_share": 7}',
        '{"format": 1, "challenger": "purchase_intent:00000000000000bb", "challenger_share": NaN}',
        '{"format": 1, "colour": "red"}',
    ],
)
def test_slots_that_are_malformed_are_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "slots.json").write_text(text)
    with pytest.raises(SettingsError, match="intent promote"):
        read_slots(tmp_path)


def test_every_writing_can_be_seen_and_leaves_nothing_beside(tmp_path: Path) -> None:
    assert slots_stamp(tmp_path) is None
    assert read_slots(tmp_path) == Slots()
    first = write_slots(tmp_path, Slots(champion=OLD))
    seen = slots_stamp(tmp_path)
    second = write_slots(tmp_path, Slots(champion=OLD))
    assert slots_stamp(tmp_path) != seen
    assert first.generation != second.generation
    assert [path.name for path in tmp_path.iterdir()] == ["slots.json"]
    with pytest.raises(SettingsError, match="share"):
        write_slots(tmp_path, Slots(champion=OLD, challenger_share=0.5))


def test_the_split_is_stable_and_a_greater_share_keeps_the_customers_of_a_smaller() -> None:
    users = [f"{number:08d}" for number in range(20_000)]
    small, large = Slots(OLD, NEW, 0.1), Slots(OLD, NEW, 0.3)
    in_small = {user for user in users if small.answered_by_challenger(user)}
    in_large = {user for user in users if large.answered_by_challenger(user)}
    assert in_small < in_large
    assert abs(len(in_small) / len(users) - 0.1) < 0.01
    # Fixed for ever: another hash would move customers from one model to the other at an upgrade.
    assert [user for user in users[:40] if large.answered_by_challenger(user)] == EXPECTED
    assert not Slots(OLD).answered_by_challenger("00000001")
    assert all(Slots(OLD, NEW, 1.0).answered_by_challenger(user) for user in users[:100])


EXPECTED = ["00000001", "00000013", "00000017", "00000020", "00000021", "00000023", "00000024", "00000030", "00000032"]
