"""How much a damaged log costs: tables, join, features and scores of a sample of test anchors, made anew from it.

The events of the sampled customers are damaged as `evaluation/perturbations.py` says, from the beginning of the log
on; the tables behind the customers' views are derived from what is left, joined at the test anchors, and scored by the
exported members. What is known about items and categories stays that of the run, and so do the labels.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from feature_repo.errors import InputError
from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.feature_sets import feature_function
from training.atomic import write_json
from training.dataset.examples import Examples
from training.dataset.point_in_time import join_features
from training.dataset.service_definition import describe_service
from training.ensemble.combine import Ensemble, combine
from training.evaluation.metrics import probability_metrics
from training.evaluation.perturbations import PERTURBATIONS
from training.evaluation.predictions import ENSEMBLE, PREFIX
from training.pipelines.build_dataset import read_split, read_test_labels
from training.pipelines.feature_store import apply, derive_features, open_store
from training.pipelines.log_of_customers import log_of_customers
from training.pipelines.task_features import calendar_of
from training.pipelines.whole_training import ENSEMBLE_FILE, TEST_SCORES, require_whole_training
from training.progress import Progress, Silent
from training.settings import Settings
from training.tasks import task_named

__all__ = ["ROBUSTNESS", "Predictor", "judge_robustness", "robustness_of"]

ROBUSTNESS = "robustness.json"
CUSTOMERS = 2000

Floats = NDArray[np.float64]


class Predictor(Protocol):
    """An exported member, ready to score."""

    def predict(self, features: CustomerFeatures) -> Floats:
        """Return the probability of each row, float64 [n]."""


def robustness_of(out: Path, training: str) -> dict[str, Any]:
    """Return `{"robustness": …}` as it was judged for the training of this digest; nothing if it was not."""
    path = out / ROBUSTNESS
    found = json.loads(path.read_text()) if path.exists() else {}
    return {"robustness": found} if found.get("training") == training else {}


def judge_robustness(
    settings: Settings, out: Path, load: Callable[[dict[str, Any], bytes], Predictor], progress: Progress
) -> dict[str, Any]:
    """Write `<out>/robustness.json`, and return it: the figures of members and ensemble on each damaged log.

    `load` makes a predictor of a member's description (`member.json`) and artefact.

    Raises:
        InputError: the run's task has no log.
        SourceDataError: the run was not trained, or not whole.
    """
    if task_named(settings.task.name).of_table:
        raise InputError(
            f"Task {settings.task.name!r} has no log to damage; expected one on events. Leave out --robustness."
        )
    training = require_whole_training(out)
    anchors, label, scored = _sample(out, settings.seed)
    members = {path.name: _load(path, load) for path in sorted((out / "members").iterdir()) if path.is_dir()}
    log, variants = log_of_customers(out, anchors), []
    with progress.task("damaging the log", len(PERTURBATIONS), "ways") as task:
        for name, damage in PERTURBATIONS.items():
            events, changed = damage(log["events"], np.random.default_rng(settings.seed))
            found = _scores(settings, out, {**log, "events": events}, anchors, members)
            variants.append(_variant(name, changed, label, found, scored))
            task.advance()
    record = {
        "training": training,
        "customers": len(set(anchors["user_id"].to_pylist())),
        "anchors": anchors.num_rows,
        "variants": variants,
    }
    write_json(out / ROBUSTNESS, record)
    return record


def _sample(out: Path, seed: int) -> tuple[pa.Table, NDArray[np.int8], Floats]:
    """Return the test anchors of up to 2,000 customers with their labels, and the ensemble's own scores of them."""
    test, scores = read_split(out, "test"), pq.read_table(out / TEST_SCORES)
    users = test["user_id"].to_numpy(zero_copy_only=False).astype(str)
    names = np.unique(users)
    drawn = np.random.default_rng(seed).choice(names, min(CUSTOMERS, len(names)), replace=False)
    rows = pa.array(np.flatnonzero(np.isin(users, drawn)))
    keys = [name for name in ("user_id", "item_id", "event_timestamp") if name in test.column_names]
    label = read_test_labels(out)["label"].take(rows).to_numpy().astype(np.int8)
    return test.select(keys).take(rows), label, scores[f"{PREFIX}{ENSEMBLE}"].take(rows).to_numpy()


def _load(folder: Path, load: Callable[[dict[str, Any], bytes], Predictor]) -> Predictor:
    description = json.loads((folder / "member.json").read_text())
    return load(description, (folder / description["artefact"]).read_bytes())


def _scores(
    settings: Settings, out: Path, log: Mapping[str, pa.Table], anchors: pa.Table, members: Mapping[str, Predictor]
) -> dict[str, Floats]:
    service = json.loads((out / "dataset" / "manifest.json").read_text())["service"]
    with tempfile.TemporaryDirectory(prefix="robustness-") as folder:
        run = Path(folder)
        for name, table in log.items():
            (run / name).mkdir()
            pq.write_table(table, run / name / "part-0.parquet")
        derive_features(run, Silent())
        for table_of_items in (out / "features").glob("item_*.parquet"):
            shutil.copy(table_of_items, run / "features" / table_of_items.name)
        store = open_store(run, scratch=True)
        apply(store, run)
        joined = join_features(store, describe_service(store, service), anchors)
    features = Examples.from_table(joined, feature_function(service, calendar_of(settings))).features
    found = {name: member.predict(features) for name, member in members.items()}
    ensemble = Ensemble.from_json(json.loads((out / ENSEMBLE_FILE).read_text()))
    return {**found, ENSEMBLE: combine(ensemble, found)}


def _variant(
    name: str, changed: float, label: NDArray[np.int8], found: Mapping[str, Floats], scored: Floats
) -> dict[str, Any]:
    figures = {
        who: {metric: value if np.isfinite(value) else None for metric, value in probability_metrics(label, p).items()}
        for who, p in found.items()
    }
    moved = float(np.abs(found[ENSEMBLE] - scored).mean())
    return {
        "what": name,
        "changed": changed,
        "mean_move": moved,
        "ensemble": figures.pop(ENSEMBLE),
        "members": figures,
    }
