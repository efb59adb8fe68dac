"""The step `train` on a run's folder: read the splits, fit, export, and score the test period without its labels."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from feature_repo.events import TIMESTAMP
from feature_repo.transforms.feature_sets import table_features
from training.atomic import write_json, write_parquet
from training.dataset.anchor_table import TableRule
from training.dataset.examples import Examples
from training.ensemble.combine import combine, interval
from training.evaluation.predictions import ENSEMBLE, PREFIX, Predictions
from training.models import members_for, require_members_for
from training.pipelines.dataset_folder import item_ids
from training.pipelines.folds import cross_validate
from training.pipelines.same_question import require_same_question
from training.pipelines.seeds import fit_more_seeds, forget_seeds
from training.pipelines.table_dataset import read_table
from training.pipelines.task_features import examples_of_split, fit_settings, scratch_path
from training.pipelines.train import Trained, export_members, train
from training.pipelines.validation_thresholds import VALIDATION_PREDICTIONS
from training.pipelines.whole_training import (
    ENSEMBLE_FILE,
    TEST_SCORES,
    TRAINING,
    require_whole_training,
    training_digest,
)
from training.progress import Progress
from training.scratch import sweep
from training.settings import Settings
from training.tasks import task_named

__all__ = ["INTERVAL_HIGH", "INTERVAL_LOW", "fit_run", "repeat_run"]

INTERVAL_LOW, INTERVAL_HIGH = "interval_low", "interval_high"
"""Columns of the test scores: between which rates the ensemble's probability lay on past dates."""


def fit_run(settings: Settings, out: Path, members: list[str] | None, progress: Progress) -> tuple[Trained, int]:
    """Fit the members (those of [train] unless named), write what they are below `out`, and count the anchors seen.

    `members/` holds each member's export, `ensemble.json` how they are combined, `training.json` every candidate and
    curve, `test_scores.parquet` what each gives at the anchors of the test period, whose labels stay closed, and the
    ensemble's interval,
    `validation_predictions.parquet` what each, fitted on train alone, gave on the validation period.

    Raises:
        SourceDataError: the data set was not built, or for another question.
        InputError: a member is not known, or cannot answer the task, or a parameter of one.
        SplitError: train or validation holds labels of one class only.
    """
    task = task_named(settings.task.name)
    sweep(scratch_path(out))
    train_set, validation = _periods(settings, out)
    told = fit_settings(settings, out, settings.seed, progress)
    chosen = _pool(settings, members, train_set)
    trained = train(train_set, validation, chosen, told, settings.members, settings.train.origins)
    test = examples_of_split(settings, out, "test")
    if isinstance(task.rule, TableRule):
        whole = read_table(task.rule, out, with_month=True)
        cross_validate(Examples.from_table(whole, table_features), chosen, told, out, settings.members)
    # All that may yet fail comes before anything takes the last training's place.
    scores = _scores(trained, test, item_ids(out, "test"))
    forward, record = _forward(trained).to_table(), _record(trained)
    export_members(trained, out / "members")
    write_json(out / ENSEMBLE_FILE, trained.ensemble.to_json())
    write_parquet(out / TEST_SCORES, scores)
    write_parquet(out / VALIDATION_PREDICTIONS, forward)
    write_json(out / TRAINING, record | {"digest": training_digest(out)})  # last: with it the training is whole
    return trained, len(train_set) + len(validation) + len(test)


def repeat_run(settings: Settings, out: Path, members: list[str] | None, count: int, progress: Progress) -> None:
    """Train `count` - 1 times more, with the seeds that follow the run's.

    Kept is what each gives at the test anchors and, fitted on train alone, at those of validation, on which its
    thresholds are chosen. Nothing else of them is: what is exported and served is the run's own training. Repetitions
    of an earlier training are removed.
    """
    if count == 1:
        forget_seeds(out)
        return
    train_set, validation = _periods(settings, out)
    chosen = _pool(settings, members, train_set)

    def repeat(seed: int) -> dict[str, pa.Table]:
        told = fit_settings(settings, out, seed, progress)
        again = train(train_set, validation, chosen, told, settings.members, settings.train.origins)
        scores = _scores(again, examples_of_split(settings, out, "test"), item_ids(out, "test"))
        return {TEST_SCORES: scores, VALIDATION_PREDICTIONS: _forward(again).to_table()}

    fit_more_seeds(out, settings.seed, count, require_whole_training(out), repeat)


def _pool(settings: Settings, members: list[str] | None, train_set: Examples) -> list[str]:
    """Return the members named, else those of [train], else all that can answer the task."""
    chosen = members or settings.train.members
    require_members_for(settings.task.name, chosen or ())
    return list(chosen or members_for(settings.task.name, sequences=bool(train_set.sample.features.sequences)))


def _periods(settings: Settings, out: Path) -> tuple[Examples, Examples]:
    """Return train and validation, each anchor under its date."""
    task = task_named(settings.task.name)
    train_set, validation = (
        examples.dated(task.dates(examples.anchor_us, settings))
        for examples in (examples_of_split(settings, out, split) for split in ("train", "validation"))
    )
    require_same_question(settings, out)
    return train_set, validation


def _scores(trained: Trained, test: Examples, items: pa.ChunkedArray | None) -> pa.Table:
    columns: dict[str, Any] = {
        "user_id": pa.array(test.user_id, pa.string()),
        **({} if items is None else {"item_id": items}),
        "anchor_timestamp": pa.array(test.anchor_us, pa.int64()).cast(TIMESTAMP),
    }
    found = trained.predict(test)
    sides = interval(trained.ensemble, found[ENSEMBLE])
    band = {} if sides is None else {INTERVAL_LOW: sides[0], INTERVAL_HIGH: sides[1]}
    return pa.table(columns | {f"{PREFIX}{name}": values for name, values in found.items()} | band)


def _forward(trained: Trained) -> Predictions:
    """Return the members' predictions of validation, and the ensemble's, whose combination was chosen on them."""
    forward = trained.forward
    ensemble = combine(trained.ensemble, forward.probabilities)
    return Predictions(forward.user_id, forward.anchor_us, forward.label, {**forward.probabilities, ENSEMBLE: ensemble})


def _record(trained: Trained) -> dict[str, Any]:
    """Return what `training.json` says of a training, but for its digest.

    Raises:
        ValueError: a figure is NaN or infinite, which is no JSON.
    """
    weights = dict(zip(trained.ensemble.members, map(float, trained.ensemble.weights), strict=True))
    record = {
        "weights": weights,
        "refitted_on_validation": trained.refitted,
        "newer_data": [row.to_json() for row in trained.newer_data],
        "candidates": [candidate.to_json() for candidate in trained.choice.candidates],
        "histories": {name: history.to_json() for name, history in trained.histories.items()},
        "validation": {name: asdict(figures) for name, figures in trained.validation.items()},
        "seconds": trained.seconds,
        "cut_lists": {name: cut.to_json() for name, cut in trained.cut_lists.items()},
        "interval": None if trained.coverage is None else trained.coverage.to_json(),
    }
    json.dumps(record, allow_nan=False)
    return record
