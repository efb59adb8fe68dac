"""The data set of a benchmark table: split by month, written like any other, with nothing to join."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.errors import SourceDataError
from feature_repo.transforms.columns import columns_of
from feature_repo.transforms.feature_sets import table_features
from training.dataset.anchor_chunks import Chunk, require_both_labels
from training.dataset.anchor_survey import SplitCount
from training.dataset.anchor_table import TableRule
from training.dataset.examples import require_no_infinity
from training.dataset.leakage_checks import IMPLAUSIBLE_AUC, single_feature_auc, too_good_alone
from training.dataset.time_splits import SPLITS, split_numbers
from training.pipelines.dataset_folder import DatasetFolder
from training.progress import Progress
from training.settings import Settings
from training.tasks.contract import Task

__all__ = ["read_table", "write_table_dataset"]

TABLE = Path("sessions") / "part-0.parquet"


def read_table(rule: TableRule, out: Path, *, with_month: bool = False) -> pa.Table:
    """Return the run's table as anchors, with or without its month among the features.

    Raises:
        SourceDataError: it was not ingested, or is another table.
    """
    if not (out / TABLE).is_file():
        raise SourceDataError(
            f"No table at {out / TABLE}; expected a benchmark of whole sessions. Run `intent ingest` with an adapter "
            "of such a table, such as online_shoppers."
        )
    return rule.anchors(pq.read_table(out / TABLE), with_month=with_month)


def write_table_dataset(settings: Settings, task: Task, out: Path, folder: Path, progress: Progress) -> dict[str, Any]:
    """Write the splits, and return the manifest.

    Raises:
        SplitError: a split is left without rows, or with labels of one class.
        FeatureError: a feature is infinite.
    """
    assert isinstance(task.rule, TableRule)  # noqa: S101  the caller chose by it
    anchors = read_table(task.rule, out)
    at_us = anchors["event_timestamp"].cast(pa.int64()).to_numpy()
    numbers = split_numbers(at_us, settings, at_us)
    parts = {name: anchors.take(pa.array(np.flatnonzero(numbers == n))) for n, name in enumerate(SPLITS)}
    counts = {name: _count(name, part) for name, part in parts.items() if part.num_rows}
    require_both_labels({name: (count.anchors, count.positives or 0) for name, count in counts.items()})
    checks = _checks(parts["train"])
    facts = _facts(settings, task, out)
    target = DatasetFolder(folder)
    with target.locked(), progress.task("writing splits", len(parts), "splits") as told:
        target.begin(facts | {"labelled": True})
        for name, part in parts.items():
            target.write(name, "part-00000", part)
            told.advance()
        manifest = facts | {
            "splits": {name: count.to_json() for name, count in counts.items()},
            "dropped": [],
            "dropped_anchors": int((numbers < 0).sum()),
            "labelled": True,
            "null_share": target.null_rates("train"),
            "leak_checks": {"single_feature": checks},
            "fingerprint": hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(),
        }
        target.finish({"views": {}, "defaults": {}}, manifest)
    return manifest


def _count(name: str, part: pa.Table) -> SplitCount:
    count = SplitCount()
    count.add(Chunk(name, name, part))
    return count


def _checks(train: pa.Table) -> dict[str, Any]:
    columns = columns_of(train)
    label, at_us = columns.pop("label").astype(np.int8), columns.pop("event_timestamp")
    features = table_features(columns, at_us)
    require_no_infinity(features)
    # A table of sessions that are over is not refused for what it is: what looks past the question is only named.
    auc = {name: round(single_feature_auc(values, label), 4) for name, values in features.numeric.items()}
    return {"implausible_auc": IMPLAUSIBLE_AUC, "split": "train", "too_good": {n: auc[n] for n in too_good_alone(auc)}}


def _facts(settings: Settings, task: Task, out: Path) -> dict[str, Any]:
    with (out / TABLE).open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return {
        "format": 2,
        "service": task.service,
        "task": {"name": task.name},
        "sources": {"table": digest},
        "cut_offs": settings.splits.model_dump(mode="json"),
        "horizon_days": None,
    }
