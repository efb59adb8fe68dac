"""Build the point-in-time training set: one Parquet file an anchor date, resumable, with the test labels apart."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.derived_tables import DERIVED_TABLES
from feature_repo.errors import SourceDataError, SplitError
from feature_repo.transforms.columns import columns_of
from feature_repo.transforms.customer import customer_features
from training.atomic import write_json, write_parquet
from training.dataset.anchors import anchor_dates, customers_at, open_log
from training.dataset.leakage_checks import require_gap, require_plausible
from training.dataset.point_in_time import join_features
from training.dataset.time_splits import SPLITS, SplitPlan, plan_splits
from training.pipelines.feature_store import SERVICE, service_schema
from training.pipelines.leak_probe import probe_for_leaks
from training.progress import Progress
from training.settings import Settings, midnight

__all__ = ["DatasetReport", "build_dataset", "read_split", "read_test_labels"]


@dataclass(frozen=True)
class DatasetReport:
    """What was built: per split the anchor dates, rows and positives; dates dropped; null share by feature."""

    splits: dict[str, dict[str, Any]]
    dropped: tuple[str, ...]
    null_share: dict[str, float]

    @property
    def rows(self) -> int:
        """Anchors in all splits."""
        return sum(split["anchors"] for split in self.splits.values())


def build_dataset(store: Any, settings: Settings, out: Path, progress: Progress) -> DatasetReport:
    """Join every anchor of every split with its features, into `<out>/dataset/<split>/<date>.parquet`.

    A part is written whole or not at all, and a part that is there already is kept if it was made from the same
    sources and settings: a killed build goes on where it was. The labels of the test period lie apart, in
    `<out>/dataset/test_labels/`, and only the evaluation opens them.

    Raises:
        SourceDataError: there is no log, or no feature table.
        SplitError: the dates leave a split without anchors, or with labels of one class.
        FeatureError: a feature looks past what was known at its anchor, or has seen the label.
    """
    plan = plan_splits(anchor_dates(settings.anchors, midnight(settings.splits.log_end)), settings)
    folder = out / "dataset"
    _begin(folder, _fingerprint(settings, out))
    with open_log(out) as log:
        anchors = {at: customers_at(log, at, settings) for _, at in plan.pairs()}
        _check_labels(plan, anchors)
        with progress.task("joining features", sum(t.num_rows for t in anchors.values()), "anchors") as task:
            for split, at in plan.pairs():
                _write_part(store, folder, split, at, anchors[at])
                task.advance(anchors[at].num_rows)
    _check_for_leaks(settings, out, plan, anchors)
    report = _report(plan, anchors, folder)
    write_json(folder / "features.json", service_schema(store))
    write_json(
        folder / "manifest.json",
        {
            "service": SERVICE,
            "splits": report.splits,
            "dropped": report.dropped,
            "null_share": report.null_share,
            "fingerprint": _fingerprint(settings, out),
        },
    )
    return report


def read_split(out: Path, split: str) -> pa.Table:
    """Return the whole split as one table, in order of time and customer; test comes without its labels.

    Raises:
        SourceDataError: the data set was not built, or not to its end.
    """
    folder = out / "dataset"
    if not (folder / "manifest.json").exists():
        raise SourceDataError(f"No data set below {folder}; expected a manifest.json. Run `intent dataset`.")
    return pa.concat_tables([pq.read_table(part) for part in sorted((folder / split).glob("*.parquet"))])


def read_test_labels(out: Path) -> pa.Table:
    """Open the labels of the test period: `user_id`, `event_timestamp`, `label`, in the order of the test split."""
    folder = out / "dataset" / "test_labels"
    return pa.concat_tables([pq.read_table(part) for part in sorted(folder.glob("*.parquet"))])


def _write_part(store: Any, folder: Path, split: str, at: datetime, anchors: pa.Table) -> None:
    target = folder / split / f"{at:%Y-%m-%d}.parquet"
    if target.exists():
        return
    if split == "test":
        labels = folder / "test_labels" / target.name
        write_parquet(labels, anchors)
        anchors = anchors.drop_columns(["label"])
    write_parquet(target, join_features(store, SERVICE, anchors))


def _check_for_leaks(settings: Settings, out: Path, plan: SplitPlan, anchors: dict[datetime, pa.Table]) -> None:
    """Refuse the data set if a split is too close, a feature has seen the label, or a planted event moves a value."""
    ends = [(name, plan.dates[name][0], plan.dates[name][-1]) for name in SPLITS]
    require_gap(ends, settings.task.horizon)
    parts = [pq.read_table(path) for path in sorted((out / "dataset" / "train").glob("*.parquet"))]
    columns = columns_of(pa.concat_tables(parts).drop_columns(["user_id"]))
    label, at_us = columns.pop("label").astype(np.int8), columns.pop("event_timestamp")
    require_plausible(columns | customer_features(columns, at_us).numeric, label, settings.seed)
    probe_for_leaks(out, pa.concat_tables([anchors[at] for _, at in plan.pairs()]), settings.seed)


def _begin(folder: Path, fingerprint: str) -> None:
    """Keep the parts of an interrupted build of the same sources and settings; clear everything else."""
    mark = folder / "building.json"
    if not mark.exists() or json.loads(mark.read_text())["fingerprint"] != fingerprint:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(mark, {"fingerprint": fingerprint})
    (folder / "manifest.json").unlink(missing_ok=True)


def _fingerprint(settings: Settings, out: Path) -> str:
    digest = hashlib.sha256(settings.model_dump_json(exclude={"seed"}).encode())
    for name in DERIVED_TABLES:
        path = out / "features" / f"{name}.parquet"
        if not path.exists():
            raise SourceDataError(f"No feature table at {path}; expected one a view. Run `intent apply`.")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _check_labels(plan: SplitPlan, anchors: dict[datetime, pa.Table]) -> None:
    for split in SPLITS:
        labels = np.concatenate([anchors[at]["label"].to_numpy() for at in plan.dates[split]])
        if len(np.unique(labels)) < 2:
            raise SplitError(
                f"The split {split!r} has {len(labels)} anchors and {int(labels.sum())} positive labels; expected "
                "both classes. Check that the log covers the dates of intent.toml, or move them."
            )


def _report(plan: SplitPlan, anchors: dict[datetime, pa.Table], folder: Path) -> DatasetReport:
    splits = {}
    for split in SPLITS:
        labels = np.concatenate([anchors[at]["label"].to_numpy() for at in plan.dates[split]])
        splits[split] = {
            "from": f"{plan.dates[split][0]:%Y-%m-%d}",
            "to": f"{plan.dates[split][-1]:%Y-%m-%d}",
            "anchors": len(labels),
            "base_rate": round(float(labels.mean()), 6),
        }
    return DatasetReport(splits, tuple(f"{at:%Y-%m-%d}" for at in plan.dropped), _null_share(folder))


def _null_share(folder: Path) -> dict[str, float]:
    """Share of nulls (for lists: of empty lists) by column of the train split."""
    source = f"read_parquet('{folder}/train/*.parquet')"
    with duckdb.connect() as connection:
        types = connection.sql(f"DESCRIBE FROM {source}").fetchall()
        parts = [f"avg(({_is_empty(name, kind)})::INT)" for name, kind, *_ in types]
        (row,) = connection.sql(f"SELECT {', '.join(parts)} FROM {source}").fetchall()
    return {name: round(float(share), 4) for (name, *_), share in zip(types, row, strict=True)}


def _is_empty(name: str, kind: str) -> str:
    return f'coalesce(len("{name}"), 0) = 0' if kind.endswith("[]") else f'"{name}" IS NULL'
