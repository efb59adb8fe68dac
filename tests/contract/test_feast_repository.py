"""`feast apply` works as it is, from the root and from inside the folder, before any data is there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USER_VIEWS = ("user_profile", "user_history", "user_baskets", "user_events", "user_counters")
VIEWS = (*USER_VIEWS, "item_catalogue", "item_demand")


def feast(arguments: list[str], cwd: Path, root: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(root)}
    environment.pop("INTENT_OUT", None)
    done = subprocess.run(
        [str(Path(sys.executable).parent / "feast"), *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("inside", [False, True], ids=["from the root", "from inside"])
def test_apply_registers_every_view(tmp_path: Path, inside: bool) -> None:
    for package in ("feature_repo", "intent_stores"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("*.db", "__pycache__"))
    folder = tmp_path / "feature_repo"
    if inside:
        feast(["apply"], folder, tmp_path)
    else:
        feast(["-c", "feature_repo", "apply"], tmp_path, tmp_path)
    assert (folder / "registry.db").exists()
    listed = feast(["feature-views", "list"], folder, tmp_path)
    assert all(view in listed for view in VIEWS)
    assert "request_context" in feast(["on-demand-feature-views", "list"], folder, tmp_path)
    assert "purchase_within_horizon" in feast(["feature-services", "list"], folder, tmp_path)
