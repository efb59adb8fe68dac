"""A run that shares another one's log keeps what is its own, and can be moved together with it."""

from pathlib import Path

import pytest

from feature_repo.errors import SourceDataError
from training.pipelines.shared_log import share_log


@pytest.fixture
def run(tmp_path: Path) -> Path:
    out = tmp_path / "runs" / "demo"
    (out / "events").mkdir(parents=True)
    (out / "events" / "part.parquet").write_text("rows")
    (out / "log.json").write_text("{}")
    return out


def test_the_log_is_linked_and_the_rest_is_not(run: Path, tmp_path: Path) -> None:
    (run / "dataset").mkdir()
    for _ in range(2):
        share_log(run, run / "ranking")
    moved = tmp_path / "elsewhere"
    (tmp_path / "runs").rename(moved)
    assert (moved / "demo" / "ranking" / "events" / "part.parquet").read_text() == "rows"
    assert sorted(path.name for path in (moved / "demo" / "ranking").iterdir()) == ["events", "log.json"]


def test_a_folder_with_a_log_of_its_own_is_refused(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "events").mkdir()
    with pytest.raises(SourceDataError, match="of its own"):
        share_log(run, other)
    assert not (other / "events").is_symlink()


def test_a_folder_without_a_log_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(SourceDataError, match="no log"):
        share_log(tmp_path, tmp_path / "ranking")
