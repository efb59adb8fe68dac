"""Where figures go: to a folder of this service alone, or nowhere but this process where there is none."""

import os
from pathlib import Path

import prometheus_client.values
import pytest

from services import figures_folder
from services.figures_folder import VARIABLE, make_figures_folder, use_figures_folder
from services.metrics import Metrics

LIBRARY = "PROMETHEUS_MULTIPROC_DIR"


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
    assert b'intent_request_seconds_count{route="/score",status="200"} 1.0' in metrics.exposition()
    metrics.close()
    assert len([record for record in caplog.records if "cannot be written" in record.message]) == 1
