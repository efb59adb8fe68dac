import signal
import subprocess
import sys
from pathlib import Path

import pytest

from feature_repo.errors import SourceDataError
from training.models.network.rows import OnDisk
from training.pipelines.fit import fit_run
from training.pipelines.task_features import scratch_path
from training.progress import Silent
from training.scratch import ScratchFolder
from training.settings import Settings

FITTING = """
import sys, time
from pathlib import Path
import numpy as np
from training.models.network.inputs import Inputs
from training.models.network.rows import OnDisk

rows = OnDisk(8, scratch=Path(sys.argv[1]))
rows.add(Inputs(np.ones((8, 2), np.float32), np.arange(9), np.ones((8, 3), np.float32)))
print("dealt out", flush=True)
time.sleep(300)
"""


@pytest.fixture
def fitting():
    """Start a process that has dealt its rows out below a folder, and is fitting."""
    started = []

    def start(scratch: Path) -> subprocess.Popen:
        child = subprocess.Popen([sys.executable, "-c", FITTING, str(scratch)], stdout=subprocess.PIPE, text=True)
        started.append(child)
        assert child.stdout.readline() == "dealt out\n"
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def killed(child: subprocess.Popen) -> None:
    child.send_signal(signal.SIGKILL)
    child.wait()


def shards(scratch: Path) -> list[Path]:
    return sorted(scratch.rglob("*.tabular"))


def test_the_next_training_removes_what_a_killed_one_left(fitting, tmp_path):
    scratch = scratch_path(tmp_path)
    killed(fitting(scratch))
    assert len(shards(scratch)) == 1
    with pytest.raises(SourceDataError):  # there is no data set to train on: it has begun, and no more
        fit_run(Settings.load(Path("intent.toml")), tmp_path, None, Silent())
    assert list(scratch.iterdir()) == []


def test_the_next_rows_on_disk_remove_what_a_killed_fit_left_and_nothing_of_a_living_one(fitting, tmp_path):
    living = fitting(tmp_path)
    (of_living,) = shards(tmp_path)
    killed(fitting(tmp_path))
    assert len(shards(tmp_path)) == 2
    rows = OnDisk(8, scratch=tmp_path)
    assert shards(tmp_path) == [of_living]
    assert len(list(tmp_path.iterdir())) == 2  # the living one's, and what was just opened
    del rows
    assert list(tmp_path.iterdir()) == [of_living.parent]
    killed(living)
    OnDisk(8, scratch=tmp_path)
    assert shards(tmp_path) == []


def test_a_folder_that_its_owner_removes_at_the_same_moment_is_no_error(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter([self / "scratch-gone"]))
    folder = ScratchFolder(tmp_path)
    assert folder.path.is_dir()


def test_without_a_place_it_is_the_systems_own(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = ScratchFolder()
    assert folder.path.parent == tmp_path
    del folder
    assert list(tmp_path.iterdir()) == []
