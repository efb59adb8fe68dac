import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from feature_repo.errors import InputError
from training.pipelines import mlflow_record

ROOT = Path(__file__).parents[4]


def pins(path):
    """Return package → version of a compiled file."""
    return dict(re.findall(r"^([\w.-]+)(?:\[.*\])?==(\S+)", path.read_text(), re.MULTILINE))


def test_where_it_is_missing_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setattr(mlflow_record, "find_spec", lambda name: None)
    command = re.escape("`pip install --require-hashes -r requirements/mlflow.txt`")
    with pytest.raises(InputError, match=f"MLflow is not installed.*{command}"):
        mlflow_record.require_mlflow()


def test_the_command_installs_what_the_extra_declares():
    (declared,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["mlflow"]
    name, _, version = declared.partition("==")
    assert pins(ROOT / mlflow_record.INSTALL.split()[-1])[name] == version
    assert name not in pins(ROOT / "requirements/dev.txt")  # `make setup` leaves it out


def test_what_it_shares_with_the_platform_stays_as_it_is():
    platform, extra = (pins(ROOT / f"requirements/{name}.txt") for name in ("dev", "mlflow"))
    moved = {name for name in extra if name in platform and extra[name] != platform[name]}
    assert moved == {"importlib-metadata"}  # docs/evaluation.md says so


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason=f"needs {mlflow_record.INSTALL}")
def test_figures_curves_and_pages_are_recorded(tmp_path):
    from mlflow.tracking import MlflowClient

    out = tmp_path / "run"
    out.mkdir()
    (out / "metrics.json").write_text(
        '{"seed": 7, "splits": {"test": {"from": "2001-01-01"}}, "test": {"trees": {"roc_auc": 0.7, "ece": null}},'
        ' "further": {"trees": {"f1": 0.4}}}'
    )
    (out / "training.json").write_text(
        '{"weights": {"trees": 1.0}, "refitted_on_validation": true,'
        ' "histories": {"trees": {"train": [0.5, 0.4], "validation": [0.6, 0.5]}}}'
    )
    for page in ("report.html", "model_card.md"):
        (out / page).write_text("a page")
    store = str(tmp_path / "mlruns")
    number = mlflow_record.record_run(out, store)  # allows folders as stores, which a client alone refuses
    client = MlflowClient(tracking_uri=store)
    run = client.get_run(number)
    assert run.data.metrics["trees.roc_auc"] == 0.7
    assert run.data.metrics["trees.f1"] == 0.4
    assert "trees.ece" not in run.data.metrics
    assert run.data.params["weight.trees"] == "1.0"
    assert [point.value for point in client.get_metric_history(run.info.run_id, "trees.train_loss")] == [0.5, 0.4]
