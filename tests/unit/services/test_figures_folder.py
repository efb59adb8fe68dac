"""Where figures go: to a folder of this service alone, or nowhere but this process where there is none."""

import os
import resource
import shutil
import signal
from pathlib import Path

import numpy as np
import prometheus_client.values
import pytest

from services import figures_folder
from services.feature_lookup import ViewRows
from services.figures_folder import VARIABLE, make_figures_folder, use_figures_folder
from services.metrics import Metrics

LIBRARY = "PROMETHEUS_MULTIPROC_DIR"
SCORED = b'intent_request_seconds_count{route="/score",status="200"} 1.0'


@pytest.fixture(autouse=True)
def as_in_a_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    monkeypatch.setenv(LIBRARY, str(tmp_path / "shared"))
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setattr(prometheus_client.values, "ValueClass", prometheus_client.values.MultiProcessValue())


def test_a_folder_is_made_for_each_who_serves_and_removed_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    at_the_end: list[tuple] = []
    monkeypatch.setattr(figures_folder.atexit, "register", lambda what, *given, **how: at_the_end.append((what, given)))
    first, second = make_figures_folder(), make_figures_folder()
    assert os.environ[VARIABLE] == str(second) != str(first)
    assert second.stat().st_mode & 0o777 == 0o700
    (second / "counter_1.db").touch()
    for remove, given in at_the_end:
        remove(*given)
    assert not first.exists()
    assert not second.exists()


def test_a_worker_writes_where_it_was_told_and_else_where_bentoml_says(tmp_path: Path, monkeypatch) -> None:
    use_figures_folder()
    assert os.environ[LIBRARY] == str(tmp_path / "shared")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "own"))  # it is gone, and made anew
    Metrics().models({"champion": "purchase_intent:aa"}, ready=True)
    assert any((tmp_path / "own").glob("gauge_livemax_*.db"))
    assert list((tmp_path / "shared").iterdir()) == []


def test_without_a_folder_that_can_be_written_a_worker_keeps_its_figures(tmp_path: Path, monkeypatch, caplog) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    metrics = Metrics()
    metrics.request("/score", 200, 0.001)
    assert SCORED in metrics.exposition()
    metrics.close()
    assert len([record for record in caplog.records if "cannot be written" in record.message]) == 1


def written_with(metrics: Metrics) -> None:
    """Everything that requests and the threads beside them write."""
    metrics.request("/score", 200, 0.001)
    metrics.stage("models", 0.001)
    metrics.views({"a": ViewRows({}, np.array(["fresh"], object), np.array([None]), np.array([1.0]))})
    metrics.scores("purchase_intent:aa", np.array([0.5]))
    metrics.shadow("purchase_intent:bb", np.array([0.5]), np.array([0.4]))
    metrics.shadow_left_out()
    metrics.model_refused()
    metrics.models({"champion": "purchase_intent:aa"}, ready=True)
    metrics.circuit(True)
    metrics.flush()


def test_figures_that_cannot_be_written_keep_nobody_from_an_answer(tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "own"))
    metrics = Metrics()
    shutil.rmtree(tmp_path / "own")
    for _ in range(3):
        written_with(metrics)
    assert b"intent_store_circuit_open 1.0" in metrics.exposition()  # of this worker alone
    (tmp_path / "own").mkdir()
    written_with(metrics)
    assert SCORED in metrics.exposition()
    metrics.close()
    assert len([record for record in caplog.records if "cannot be written" in record.message]) == 1


def test_a_file_that_cannot_grow_keeps_nobody_from_an_answer(tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "own"))
    metrics = Metrics()
    written_with(metrics)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))  # as much as the files have by now
        for route in range(200):
            metrics.request(f"/{route}", 200, 0.001)
        metrics.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert SCORED in metrics.exposition()
    assert len([record for record in caplog.records if "cannot be written" in record.message]) == 1
