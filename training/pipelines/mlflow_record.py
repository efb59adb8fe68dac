"""A run's figures, settings and pages in a store of MLflow, for those who keep their runs there. An extra."""

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from feature_repo.errors import InputError
from training.pipelines.whole_training import TRAINING

__all__ = ["INSTALL", "record_run", "require_mlflow"]

INSTALL = "pip install --require-hashes -r requirements/mlflow.txt"
_EXPERIMENT = "purchase-intent"
_PAGES = ("report.html", "model_card.md", "metrics.json")


def require_mlflow() -> None:
    """Refuse early where MLflow is not installed.

    Raises:
        InputError: with the command that installs it.
    """
    if find_spec("mlflow") is None:
        raise InputError(
            f"MLflow is not installed, and --mlflow needs it. Install it with `{INSTALL}`, or leave it out."
        )


def record_run(out: Path, uri: str) -> str:
    """Record an evaluated run in the store at `uri` (a folder, sqlite:///file, or a server's address); return its id.

    Metrics are `<member>.<metric>` of the test period, and the training curves by step; parameters the seed, the
    question's splits and the weights; artefacts the report, the card and `metrics.json`.

    Raises:
        InputError: MLflow is not installed.
    """
    require_mlflow()
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    metrics = json.loads((out / "metrics.json").read_text())
    training = json.loads((out / TRAINING).read_text())
    experiment = client.get_experiment_by_name(_EXPERIMENT)
    number = experiment.experiment_id if experiment else client.create_experiment(_EXPERIMENT)
    run = client.create_run(number, run_name=out.name).info.run_id
    _parameters(client, run, metrics, training)
    _figures(client, run, metrics, training)
    for page in _PAGES:
        client.log_artifact(run, str(out / page))
    client.set_terminated(run)
    return str(run)


def _parameters(client: Any, run: str, metrics: dict[str, Any], training: dict[str, Any]) -> None:
    told = {"seed": metrics["seed"], "refitted_on_validation": training["refitted_on_validation"]}
    told |= {f"weight.{name}": weight for name, weight in training["weights"].items()}
    told |= {f"{name}.from": split["from"] for name, split in metrics["splits"].items()}
    for name, value in told.items():
        client.log_param(run, name, value)


def _figures(client: Any, run: str, metrics: dict[str, Any], training: dict[str, Any]) -> None:
    for part in ("test", "further"):
        for member, values in metrics[part].items():
            for name, value in values.items():
                if isinstance(value, float):
                    client.log_metric(run, f"{member}.{name}", value)
    for member, history in training["histories"].items():
        for key in ("train", "validation"):
            for step, value in enumerate(history[key], 1):
                client.log_metric(run, f"{member}.{key}_loss", value, step=step)
