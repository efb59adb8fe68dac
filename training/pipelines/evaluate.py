"""Open the labels of the test period, once, and say what the members and the ensemble are worth on it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from feature_repo.errors import SourceDataError
from feature_repo.transforms.columns import columns_of
from training.atomic import write_json, write_parquet, write_text
from training.dataset.leak_labels import require_no_label_means
from training.dataset.leakage_checks import require_plausible
from training.evaluation import report_parts as parts
from training.evaluation.curve_files import write_curve_files
from training.evaluation.curves import curves_of
from training.evaluation.evaluate import Evaluation, evaluate
from training.evaluation.fairness import SENSITIVE, FairnessTable, fairness_tables
from training.evaluation.judged_run import JudgedRun
from training.evaluation.predictions import PREFIX, Predictions, texts_of
from training.evaluation.report import write_report
from training.evaluation.slices import customer_slices
from training.evaluation.targets import TA_FENG_TARGETS, CheckedTarget, check_targets
from training.evaluation.tree_contributions import tree_contributions
from training.packaging.run_card import run_card
from training.pipelines.build_dataset import read_split, read_test_labels
from training.pipelines.demo_question import of_the_demo
from training.pipelines.distance_to_best import distance_to_best, reachable_of
from training.pipelines.interval_coverage import coverage_on_test
from training.pipelines.robustness import robustness_of
from training.pipelines.same_question import require_same_question
from training.pipelines.same_rows import same_rows
from training.pipelines.seeds import over_seeds
from training.pipelines.stages import read_stages
from training.pipelines.task_features import examples_of
from training.pipelines.training_parts import candidates_of, cut_lists_of, training_curves_of
from training.pipelines.validation_thresholds import validation_thresholds
from training.pipelines.whole_training import TEST_SCORES, TRAINING, require_whole_training
from training.progress import Progress
from training.required_packages import installed_versions
from training.settings import Settings
from training.tasks import task_named

__all__ = ["LIBRARIES", "Evaluated", "evaluate_run", "scored_members"]

LIBRARIES = ("feast", "bentoml", "duckdb", "tensorflow-cpu", "keras", "xgboost-cpu", "scikit-learn", "onnxruntime")


@dataclass(frozen=True)
class Evaluated:
    """The evaluation, the targets that the run is held to (none but for the whole demo), and where its page lies.

    `fairness`: the figures by group of customers; `robustness`: those on damaged logs, empty if it was not tested.
    `intervals`: how often the ensemble's held, empty if it has none. `seeds`: mean and spread, empty for one seed.
    """

    evaluation: Evaluation
    targets: tuple[CheckedTarget, ...]
    report: Path
    fairness: tuple[FairnessTable, ...] = ()
    robustness: Mapping[str, Any] = field(default_factory=dict)
    intervals: Mapping[str, Any] = field(default_factory=dict)
    seeds: Mapping[str, Any] = field(default_factory=dict)


def evaluate_run(settings: Settings, out: Path, progress: Progress) -> Evaluated:
    """Write what the test period says below `out`.

    `test_predictions.parquet`, `metrics.json`, `slices.json`, `report.html`, `model_card.md`, and the training curves
    as event files for TensorBoard.

    Raises:
        SourceDataError: the members were not trained on the data set that is there, or it is of another question.
        SplitError: the test or the validation period has no anchors, or labels of one class only.
        FeatureError: a feature was made of the labels of the test period, or tells them too well by itself.
    """
    test = read_split(out, "test")
    require_same_question(settings, out)
    training = require_whole_training(out)
    with progress.task("evaluating", 4, "steps") as task:
        predictions = _predictions(settings, test, read_test_labels(out), out)
        _refuse_leaks(settings, out, test, predictions.label)
        task.advance()
        evaluation = evaluate(predictions, seed=settings.seed, thresholds=validation_thresholds(out))
        fairness = _fairness(test, predictions, evaluation.thresholds)
        task.advance()
        write_parquet(out / "test_predictions.parquet", predictions.to_table())
        write_json(out / "slices.json", evaluation.slices_json())
        further = {"further": evaluation.further_json(), "fairness": [table.to_json() for table in fairness]}
        ends = reachable_of(out, predictions, _manifest(out)["splits"]["train"]["base_rate"])
        further["ceiling"] = distance_to_best(predictions, ends)
        dates = task_named(settings.task.name).dates(predictions.anchor_us, settings)
        further["intervals"] = coverage_on_test(out, predictions, dates)
        own = JudgedRun(predictions, evaluation.thresholds, ends)
        further["seeds"] = over_seeds(out, own, settings.seed, training)
        targets = _targets(settings, out, evaluation)
        further["targets"] = [checked.to_json() for checked in targets]
        metrics = _write_metrics(
            out,
            settings,
            evaluation.to_metrics_json() | further | robustness_of(out, training) | {"training": training},
        )
        write_text(out / "model_card.md", run_card(_question(settings), metrics, _training(out)))
        write_curve_files(out, _training(out)["histories"], evaluation.metrics)
        task.advance()
        write_report(
            out / "report.html", _report(settings, out, predictions, evaluation, test, metrics, fairness, targets)
        )
        task.advance()
    robustness, intervals = metrics.get("robustness", {}), metrics["intervals"]
    return Evaluated(evaluation, targets, out / "report.html", fairness, robustness, intervals, metrics["seeds"])


def scored_members(out: Path) -> tuple[str, ...]:
    """Return the names of those that a training scored the test period with; none where there is no training."""
    path = out / TEST_SCORES
    names = pq.read_schema(path).names if path.exists() else []
    return tuple(name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX))


def _refuse_leaks(settings: Settings, out: Path, test: pa.Table, label: NDArray[np.int8]) -> None:
    """The labels of the test period are open for the first time: now it shows whether a feature was made of them."""
    features = examples_of(settings, out, test).features
    require_no_label_means(features.numeric, label, "test")
    if not task_named(settings.task.name).of_table:  # of sessions that are over: named when built, not refused
        require_plausible({**features.numeric, **features.categorical, **features.sequences}, label, settings.seed)


def _fairness(test: pa.Table, predictions: Predictions, thresholds: Mapping[str, float]) -> tuple[FairnessTable, ...]:
    """Return the tables of the ensemble, or of the last member where there is none, by what is known of customers."""
    member = predictions.members[-1]
    columns = columns_of(test.select([name for name in SENSITIVE if name in test.column_names]))
    groups = {SENSITIVE[name]: values for name, values in columns.items()}
    threshold = thresholds.get(member, math.nan)
    return fairness_tables(
        predictions.label, predictions.probability[member], groups, member=member, threshold=threshold
    )


def _write_metrics(out: Path, settings: Settings, judged: dict[str, Any]) -> dict[str, Any]:
    """Write `metrics.json`, and return it.

    data, splits, test, paired, further, fairness, ceiling (empty but for a simulated shop), intervals, seeds (empty
    for one), targets (none but for the whole demo), robustness (if tested), training (the digest of what was judged),
    stages, seed.
    """
    data = {"data": _card(out), "splits": _manifest(out)["splits"]}
    metrics = data | judged | {"stages": read_stages(out), "seed": settings.seed}
    write_json(out / "metrics.json", metrics)
    return metrics


def _predictions(settings: Settings, test: pa.Table, labels: pa.Table, out: Path) -> Predictions:
    path = out / TEST_SCORES
    if not path.exists():
        raise SourceDataError(
            f"No scores of the test period at {path}; expected one row an anchor. Run `intent train`."
        )
    scores = pq.read_table(path)
    for other in (labels, test):
        if not same_rows(scores, other):
            raise SourceDataError(
                f"Scores of {scores.num_rows} anchors do not fit the data set's {other.num_rows}; expected the same "
                "anchors in the same order. Run `intent train` again."
            )
    anchor_us = columns_of(scores.select(["anchor_timestamp"]))["anchor_timestamp"]
    return Predictions(
        user_id=texts_of(scores, "user_id"),
        anchor_us=anchor_us,
        label=labels["label"].to_numpy().astype(np.int8),
        probability={
            name.removeprefix(PREFIX): scores[name].to_numpy()
            for name in scores.column_names
            if name.startswith(PREFIX)
        },
        slices=_slices(settings, test, anchor_us),
        item_id=texts_of(scores, "item_id") if "item_id" in scores.column_names else None,
    )


def _slices(settings: Settings, test: pa.Table, anchor_us: NDArray[np.int64]) -> dict[str, NDArray[np.object_]]:
    """Return the slices of customers, where the features say so much of them, and those of the task."""
    found: dict[str, NDArray[np.object_]] = {}
    if set(_OF_CUSTOMERS) <= set(test.column_names):
        columns = columns_of(test.select(_OF_CUSTOMERS))
        found = customer_slices(
            age_group=columns["age_group"],
            area=columns["area"],
            baskets=columns["lifetime_baskets"],
            last_purchase_us=columns["last_purchase_at"],
            anchor_us=anchor_us,
        )
    for column, title in task_named(settings.task.name).slices:
        values = test[column].to_pylist()
        found[title] = np.array([None if value is None else f"{value:>2}" for value in values], object)
    return found


_OF_CUSTOMERS = ["age_group", "area", "lifetime_baskets", "last_purchase_at"]


def _targets(settings: Settings, out: Path, evaluation: Evaluation) -> tuple[CheckedTarget, ...]:
    whole = _card(out).get("sample") is None
    return check_targets(evaluation, TA_FENG_TARGETS) if whole and of_the_demo(settings, _manifest(out)) else ()


def _card(out: Path) -> dict[str, Any]:
    path = out / "data_card.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _manifest(out: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((out / "dataset" / "manifest.json").read_text())
    return manifest


def _training(out: Path) -> dict[str, Any]:
    training: dict[str, Any] = json.loads((out / TRAINING).read_text())
    return training


def _question(settings: Settings) -> str:
    return task_named(settings.task.name).question(settings)


def _report(
    settings: Settings,
    out: Path,
    predictions: Predictions,
    evaluation: Evaluation,
    test: pa.Table,
    metrics: Mapping[str, Any],
    fairness: tuple[FairnessTable, ...],
    targets: tuple[CheckedTarget, ...],
) -> parts.ReportInput:
    training, card = _training(out), _card(out)
    features = examples_of(settings, out, test).features
    return parts.ReportInput(
        title=str(card.get("title", "Purchase intent")),
        question=_question(settings),
        evaluation=evaluation,
        curves=curves_of(predictions),
        data={
            key: str(card[key])[:10] if key in ("first", "last") else card[key] for key in _CARD_FACTS if card.get(key)
        },
        splits=tuple(
            parts.SplitCount(name, split["from"], split["to"], split["anchors"], split["base_rate"])
            for name, split in _manifest(out)["splits"].items()
        ),
        oddities=tuple(parts.Oddity(text) for text in card.get("odd", [])),
        shap=tree_contributions(out / "members", training["weights"], features, settings.seed),
        training_curves=training_curves_of(training),
        cut_lists=cut_lists_of(training),
        candidates=candidates_of(training),
        weights=training["weights"],
        stages=tuple(
            parts.Stage(name, stage["seconds"], stage["peak_rss_mb"], int(stage["rows"]))
            for name, stage in read_stages(out).items()
        ),
        targets=targets,
        versions=installed_versions(LIBRARIES),
        seed=settings.seed,
        fairness=fairness,
        robustness=metrics.get("robustness", {}),
        seeds=metrics["seeds"],
        ceiling=metrics["ceiling"],
        intervals=metrics["intervals"],
    )


_CARD_FACTS = ("title", "licence", "page", "rows_in", "events", "customers", "distinct_items", "first", "last")
