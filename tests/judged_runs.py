"""A run's folder as training and evaluation leave it, without either: for what reads figures."""

from pathlib import Path
from typing import Any

from training.atomic import write_json
from training.pipelines.whole_training import ENSEMBLE_FILE, TRAINING, training_digest

__all__ = ["write_metrics", "write_training"]


def write_training(out: Path, what: str = "first") -> str:
    """Put another training into `out`, whole, named by `what`, and return its digest."""
    write_json(out / "dataset" / "manifest.json", {"fingerprint": "data"})
    write_json(out / ENSEMBLE_FILE, {"of": what})
    digest = training_digest(out)
    write_json(out / TRAINING, {"digest": digest})
    return digest


def write_metrics(out: Path, **figures: Any) -> str:
    """Write the figures of the training that is there, of a first one if there is none; return its digest."""
    digest = training_digest(out) if (out / TRAINING).exists() else write_training(out)
    write_json(out / "metrics.json", figures | {"training": digest})
    return digest
