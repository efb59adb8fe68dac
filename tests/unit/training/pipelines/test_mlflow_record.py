import importlib.util

import pytest

from feature_repo.errors import InputError
from training.pipelines import mlflow_record


def test_where_it_is_missing_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setattr(mlflow_record, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"MLflow is not installed.*`pip install mlflow-skinny=="):
        mlflow_record.require_mlflow()


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
