"""Two promotions over the same slots: one at a time, and none takes back what another one wrote."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from feature_repo.errors import DependencyDown, RequestError, SettingsError
from intent_cli.main import run
from intent_cli.promotion import Promotion
from intent_cli.promotion_lock import promoting_alone
from services.model_slots import FOLDER_VARIABLE, Slots, read_slots, write_slots
from services.worker_reports import ReportFile, WorkerReport

OLD, NEW, OTHER = (f"purchase_intent:00000000000000{name}" for name in ("aa", "bb", "cc"))
_HOLD = """
import sys, time
from pathlib import Path
from intent_cli.promotion_lock import promoting_alone
with promoting_alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def silent_worker(folder: Path) -> None:
    """A worker that lives and follows nothing."""
    ReportFile(folder).say(WorkerReport("here-1", "another generation", OLD, None))


def test_a_promotion_that_fails_leaves_what_somebody_else_wrote_meanwhile(tmp_path: Path) -> None:
    write_slots(tmp_path, Slots(champion=OLD))
    silent_worker(tmp_path)
    threading.Timer(0.3, write_slots, (tmp_path, Slots(champion=OTHER))).start()
    with pytest.raises(RequestError, match="as they wrote them"):
        Promotion(tmp_path, tmp_path).carry_out(Slots(champion=NEW), 30)
    assert read_slots(tmp_path).champion == OTHER


def test_slots_written_at_the_last_moment_are_not_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_slots(tmp_path, Slots(champion=OLD))

    def in_vain(*_: object) -> int:
        write_slots(tmp_path, Slots(champion=OTHER))
        raise DependencyDown("no worker said so")

    monkeypatch.setattr(Promotion, "_followed", in_vain)
    with pytest.raises(DependencyDown):
        Promotion(tmp_path, tmp_path).carry_out(Slots(champion=NEW), 1.0)
    assert read_slots(tmp_path).champion == OTHER


def test_a_second_promotion_is_refused_until_the_first_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "slots"))
    second = ["promote", "none", "--alias", "challenger", "--out", str(tmp_path)]
    first = subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path / "slots")], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        assert run(second) == 1
        assert "Another promotion is at work" in capsys.readouterr().err
        assert list((tmp_path / "slots").iterdir()) == []
    finally:
        first.kill()  # and its lock is gone with it
        first.communicate()
    assert run(second) == 0
    assert read_slots(tmp_path / "slots").generation


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"), promoting_alone(tmp_path / "file" / "slots"):
        pass
