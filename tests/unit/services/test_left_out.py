"""A process that scores loads no library that scores nothing, and takes none away from whoever needs it."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from services.left_out import left_out

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import sys
from pathlib import Path
from services.golden_check import examples
from services.scoring import Scorer
from training.packaging.bundle import Bundle
bundle = Bundle.load(Path(sys.argv[1]))
Scorer(bundle).score(*examples(bundle))
heavy = {"tensorflow", "keras", "feast", "sklearn", "pandas", "duckdb", "sqlalchemy"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}), "xgboost" in sys.modules)
from sklearn.linear_model import LogisticRegression
"""


def test_scoring_loads_neither_tensorflow_nor_feast_nor_what_xgboost_brings_along(tiny_bundle_folder: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tiny_bundle_folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[] True\n"), done.stderr


def test_only_the_one_module_is_left_out_and_only_for_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("left_out_here", "left_in_here"):
        (tmp_path / f"{name}.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with left_out("left_out_here"):
        with pytest.raises(ModuleNotFoundError, match="left_out_here"):
            import_module("left_out_here")
        import_module("left_in_here")
    import_module("left_out_here")
    with left_out("left_out_here"):
        import_module("left_out_here")  # what is there stays
