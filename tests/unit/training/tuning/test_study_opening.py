"""The database of the studies: tunings that begin at the same moment all open it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from feature_repo.errors import DependencyDown
from training.tuning import study as module
from training.tuning.study import Identity, open_study

IDENTITY = Identity("recency", "0" * 16, "1" * 16, "log_loss", 3, 1)
OPEN = """
import sys, time
from training.tuning.study import Identity, open_study
while time.time() < float(sys.argv[2]):
    pass
identity = Identity("recency", "0" * 16, "1" * 16, "log_loss", 3, 1)
open_study(sys.argv[1], sys.argv[3], "tpe", identity)
"""


def opened(url: str, name: str = "one") -> object:
    return open_study(url, name, "tpe", IDENTITY)


def test_tunings_that_begin_at_once_open_one_database(tmp_path: Path) -> None:
    url, begin = f"sqlite:///{tmp_path}/studies.db", str(time.time() + 8)
    started = [
        subprocess.Popen([sys.executable, "-c", OPEN, url, begin, f"study-{number}"], stderr=subprocess.PIPE)
        for number in range(3)
    ]
    said = [process.communicate(timeout=120)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said


@pytest.mark.parametrize("failures", [1, 2])
def test_one_failure_is_tried_again_and_a_second_one_told(
    failures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 0)
    real, left = module.optuna.storages.RDBStorage.__init__, [failures]

    def begin(*arguments: object, **options: object) -> None:
        if left[0]:
            left[0] -= 1
            raise IntegrityError("insert", {}, ValueError("UNIQUE constraint failed: alembic_version.version_num"))
        real(*arguments, **options)

    monkeypatch.setattr(module.optuna.storages.RDBStorage, "__init__", begin)
    if failures == 1:
        assert opened(f"sqlite:///{tmp_path}/studies.db") is not None
    else:
        with pytest.raises(DependencyDown, match="UNIQUE constraint failed"):
            opened(f"sqlite:///{tmp_path}/studies.db")
