"""A new member is a folder dropped in: in a copy of the sources, the suite of all members runs with one more."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = (
    "feature_repo",
    "services",
    "training",
    "tests/contract/test_members.py",
    "tests/simulated_examples.py",
    "intent.toml",
)

WHOLE_PATH = '''
import json
import tomllib
from pathlib import Path

import numpy as np

from services.runtimes import load_member
from tests.simulated_examples import HORIZON_DAYS, simulated_examples
from training.models import member, members_for
from training.models.contract import FitSettings
from training.pipelines.train import export_members, train
from training.settings import Settings
from training.tuning.search_space import searched

NAME = "{name}"


def test_whole_path(tmp_path):
    """Named in the settings, searched by a tuning, trained in an ensemble, exported and served."""
    assert NAME in members_for("purchase_within_horizon")
    told = tomllib.loads(Path("intent.toml").read_text())
    told |= {{"train": {{"members": ["recency", NAME]}}, "members": {{NAME: {{"c": 2.0}}}}}}
    settings = Settings.model_validate(told)
    assert [parameter.name for parameter in searched(NAME, member(NAME).parameters)] == ["c"]
    periods = simulated_examples(300)
    trained = train(*periods, settings.train.members, FitSettings(HORIZON_DAYS, 4), settings.members)
    assert trained.ensemble.members == ("recency", NAME)
    export_members(trained, tmp_path / "members")
    spec = json.loads((tmp_path / "members" / NAME / "member.json").read_text())
    served = load_member(spec, (tmp_path / "members" / NAME / spec["artefact"]).read_bytes())
    scores = trained.predict(periods[1])
    np.testing.assert_allclose(served.predict(periods[1].features), scores[NAME], atol=1e-5)
    assert np.ptp(scores[NAME]) > 0.05
'''


@pytest.fixture
def drop_in(tmp_path):
    """Copy the sources, put a folder with a model into them, and run tests there; nothing else is written."""

    def run(name: str, model: str, *tests: str) -> str:
        for path in COPIED:
            kind = shutil.copytree if (ROOT / path).is_dir() else shutil.copy
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            kind(ROOT / path, tmp_path / path)
        folder = tmp_path / "training" / "models" / name
        folder.mkdir()
        (folder / "model.py").write_text(model)
        (tmp_path / "test_whole_path.py").write_text(WHOLE_PATH.format(name=name))
        command = [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", *tests]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        return done.stdout

    return run


def models_of_the_page() -> list[str]:
    """Return what the page on members shows: a network over the sequence, and a member over the table."""
    page = (ROOT / "docs" / "members.md").read_text().split("## A new member")[1]
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


def test_a_folder_with_a_model_is_fitted_tuned_exported_and_served(drop_in):
    _, model = models_of_the_page()
    told = drop_in(
        "two_numbers", model, "tests/contract/test_members.py", "test_whole_path.py", "-k", "two_numbers or whole"
    )
    (passed,) = re.findall(r"^(\d+) passed", told, re.MULTILINE)
    assert int(passed) > 20  # the suite found it


@pytest.mark.slow
def test_the_architecture_that_the_page_shows_is_a_member(drop_in):
    model, _ = models_of_the_page()
    told = drop_in("sequence_convolution", model, "tests/contract/test_members.py", "-k", "sequence_convolution")
    (passed,) = re.findall(r"^(\d+) passed", told, re.MULTILINE)
    assert int(passed) > 20
