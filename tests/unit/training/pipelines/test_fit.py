"""What a run's folder holds when a training cannot be finished."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulated_examples import HORIZON_DAYS, simulated_examples
from training.models.contract import FitSettings
from training.pipelines import fit
from training.pipelines.train import Figures, train
from training.progress import Silent
from training.settings import Settings


def test_a_figure_that_is_no_number_leaves_the_last_training_as_it_was(tmp_path, monkeypatch) -> None:
    train_set, validation = simulated_examples(customers=300)
    trained = train(train_set, validation, ["recency"], FitSettings(HORIZON_DAYS, 4))
    unmeasured = replace(trained, validation={"recency": Figures(float("nan"), 0.5, 0.5)})
    monkeypatch.setattr(fit, "_periods", lambda settings, out: (train_set, validation))
    monkeypatch.setattr(fit, "examples_of_split", lambda settings, out, split: validation)
    monkeypatch.setattr(fit, "train", lambda *arguments: unmeasured)
    (tmp_path / "members").mkdir()
    (tmp_path / "members" / "of the last training").touch()
    (tmp_path / "ensemble.json").write_text("{}")
    with pytest.raises(ValueError, match="not JSON compliant"):
        fit.fit_run(Settings.load(Path("intent.toml")), tmp_path, ["recency"], Silent())
    assert [path.name for path in (tmp_path / "members").iterdir()] == ["of the last training"]
    assert (tmp_path / "ensemble.json").read_text() == "{}"
    assert not (tmp_path / "training.json").exists()
