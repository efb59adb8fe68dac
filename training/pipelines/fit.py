"""The step `train` on a run's folder: read the splits, fit, export, and score the test period without its labels."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from feature_repo.events import TIMESTAMP
from training.atomic import write_json, write_parquet
from training.dataset.examples import Examples
from training.evaluation.predictions import PREFIX
from training.models import member_names
from training.pipelines.build_dataset import read_split
from training.pipelines.train import Trained, export_members, train
from training.progress import Progress
from training.settings import Settings

__all__ = ["ENSEMBLE_FILE", "TEST_SCORES", "TRAINING", "fit_run"]

TEST_SCORES = "test_scores.parquet"
TRAINING = "training.json"
ENSEMBLE_FILE = "ensemble.json"


def fit_run(settings: Settings, out: Path, members: list[str] | None, progress: Progress) -> tuple[Trained, int]:
    """Fit the members (all that there are unless named), write what they are below `out`, and count the anchors seen.

    `members/` holds each member's export, `ensemble.json` how they are combined, `training.json` every candidate and
    curve, `test_scores.parquet` what each gives at the anchors of the test period, whose labels stay closed.

    Raises:
        SourceDataError: the data set was not built.
        InputError: a member is not known.
    """
    train_set = Examples.from_table(read_split(out, "train"))
    validation = Examples.from_table(read_split(out, "validation"))
    trained = train(
        train_set, validation, members or member_names(), settings.seed, settings.task.horizon_days, progress
    )
    export_members(trained, out / "members")
    write_json(out / ENSEMBLE_FILE, trained.ensemble.to_json())
    write_json(out / TRAINING, _record(trained))
    test = Examples.from_table(read_split(out, "test"))
    write_parquet(out / TEST_SCORES, _scores(trained, test))
    return trained, len(train_set) + len(validation) + len(test)


def _scores(trained: Trained, test: Examples) -> pa.Table:
    columns: dict[str, Any] = {
        "user_id": pa.array(test.user_id, pa.string()),
        "anchor_timestamp": pa.array(test.anchor_us, pa.int64()).cast(TIMESTAMP),
    }
    return pa.table(columns | {f"{PREFIX}{name}": values for name, values in trained.predict(test).items()})


def _record(trained: Trained) -> dict[str, Any]:
    weights = dict(zip(trained.ensemble.members, map(float, trained.ensemble.weights), strict=True))
    return {
        "weights": weights,
        "refitted_on_validation": trained.refitted,
        "newer_data": [row.to_json() for row in trained.newer_data],
        "candidates": [candidate.to_json() for candidate in trained.choice.candidates],
        "histories": {name: history.to_json() for name, history in trained.histories.items()},
        "validation": {name: asdict(figures) for name, figures in trained.validation.items()},
        "seconds": trained.seconds,
    }
