"""What importing costs: nothing happens at import, and serving loads no training stack."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_python(code: str, cwd: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_scoring_loads_no_training_stack(tmp_path: Path) -> None:
    code = "import sys, services.scoring; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = set(run_python(code, tmp_path).split())
    assert not loaded & {"tensorflow", "keras", "feast", "bentoml", "sklearn", "pandas", "duckdb", "matplotlib"}


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys, intent_cli.main; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = set(run_python(code, tmp_path).split())
    assert not loaded & {"tensorflow", "feast", "bentoml", "xgboost", "pandas", "pyarrow", "numpy", "pydantic"}


MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("feature_repo", "training", "intent_cli", "services")
    for path in (ROOT / package).rglob("*.py")
    if path.name != "__init__.py" and path.name not in ("intent_service.py", "json_body.py", "loaded_models.py")
)


def test_importing_writes_and_prints_nothing(tmp_path: Path) -> None:
    code = f"import importlib\nfor name in {MODULES!r}: importlib.import_module(name)"
    assert run_python(code, tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["serve", "--help"]])
def test_help_costs_little(arguments: list[str]) -> None:
    """Half a second is the promise, and on a slow machine four times what the command line's libraries take to load.

    Processor time is counted, not the clock: other work on the machine is not ours.
    """
    took = [processor_seconds(["-m", "intent_cli.main", *arguments]) for _ in range(3)]
    floor = min(processor_seconds(["-c", "import rich.console, typer"]) for _ in range(3))
    assert min(took) < max(0.5, 4 * floor), f"{arguments} took {took}, the libraries {floor} seconds of processor time"


def processor_seconds(arguments: list[str]) -> float:
    before = os.times()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
