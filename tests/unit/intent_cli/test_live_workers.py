"""Which workers `intent promote` waits for: those whose process lives, whether they say so just now or not."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from feature_repo.errors import DependencyDown
from intent_cli import live_workers
from intent_cli.live_workers import live_reports
from intent_cli.promotion import Promotion
from services import worker_reports
from services.model_slots import Slots, read_slots, write_slots
from services.worker_reports import ReportFile, WorkerReport

OLD, NEW = "purchase_intent:00000000000000aa", "purchase_intent:00000000000000bb"


def report(folder: Path, worker: str, age_seconds: float = 0.0) -> WorkerReport:
    """What a worker said a while ago, in its file."""
    said = WorkerReport(worker, "1234", OLD, None, {"challenger": "why"})
    path = folder / "workers" / f"{worker}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(said)))
    os.utime(path, (time.time() - age_seconds,) * 2)
    return said


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen]:
    """A worker's process here, which renews nothing; reports last no moment, so that no test waits for one's end."""
    monkeypatch.setattr(live_workers, "_RENEWED_SECONDS", -1.0)
    running = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield running
    running.kill()
    running.wait()


def test_a_worker_that_is_stopped_lives_until_it_is_killed(process: subprocess.Popen, tmp_path: Path) -> None:
    said = report(tmp_path, f"{socket.gethostname()}-{process.pid}")
    process.send_signal(signal.SIGSTOP)
    write_slots(tmp_path, Slots(champion=OLD))
    with pytest.raises(DependencyDown, match="Of 1 workers 1 did not say"):
        Promotion(tmp_path, tmp_path).carry_out(Slots(champion=NEW), 0.3)
    assert read_slots(tmp_path).champion == OLD
    assert live_reports(tmp_path) == [said]
    process.kill()
    deadline = time.monotonic() + 10
    while live_reports(tmp_path):  # at its end nobody has waited for it yet: a zombie is no worker
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert Promotion(tmp_path, tmp_path).carry_out(Slots(champion=NEW), 0.3) == 0


def test_a_process_that_got_a_worker_s_number_is_none(process: subprocess.Popen, tmp_path: Path) -> None:
    report(tmp_path, f"{socket.gethostname()}-{process.pid}", age_seconds=60)
    assert live_reports(tmp_path) == []


def test_a_worker_of_another_machine_is_waited_for_once_it_was_noted(tmp_path: Path) -> None:
    worker = "another.machine-7"
    said = report(tmp_path, worker)
    assert live_reports(tmp_path) == [said]
    report(tmp_path, worker, age_seconds=60)
    assert live_reports(tmp_path) == []
    assert live_reports(tmp_path, {worker}) == [said]
    (tmp_path / "workers" / f"{worker}.json").unlink()
    assert live_reports(tmp_path, {worker}) == []


def test_the_files_of_workers_long_gone_are_removed(tmp_path: Path) -> None:
    report(tmp_path, "another.machine-7", age_seconds=4000)
    (tmp_path / "workers" / "somebody.json").write_text("{}")
    assert live_reports(tmp_path) == []
    assert [path.name for path in (tmp_path / "workers").iterdir()] == ["somebody.json"]


def test_a_report_is_renewed_from_the_start_until_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_reports, "RENEW_SECONDS", 0.01)
    file = ReportFile(tmp_path)
    file.begin()
    assert live_reports(tmp_path) == [WorkerReport(file.worker, "", None, None)]
    path = tmp_path / "workers" / f"{file.worker}.json"
    os.utime(path, (1, 1))
    deadline = time.monotonic() + 10
    while path.stat().st_mtime < time.time() - 60:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    file.remove()
    assert live_reports(tmp_path) == []
