"""The same training with other seeds: how much of a figure is luck. Nothing of it is exported or served."""

import json
import math
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.errors import SourceDataError
from training.atomic import replace_folder, write_json, write_parquet
from training.evaluation.ceiling import Reachable
from training.evaluation.compare import Spread, compare_runs
from training.evaluation.judged_run import JudgedRun
from training.evaluation.predictions import PREFIX, Predictions
from training.pipelines.same_rows import same_rows
from training.pipelines.validation_thresholds import validation_thresholds

__all__ = ["SEEDS", "fit_more_seeds", "forget_seeds", "other_seeds", "over_seeds", "seed_runs"]

SEEDS = "seeds"
_SCORES, _PREDICTIONS, _OF = "test_scores.parquet", "test_predictions.parquet", "of_training.json"


def fit_more_seeds(
    out: Path, first: int, count: int, digest: str, repeat: Callable[[int], Mapping[str, pa.Table]]
) -> None:
    """Replace `<out>/seeds/` by what is kept of `count` - 1 further trainings, one folder a seed.

    The run's own `first` seed counts as one of `count`; the others follow it. `repeat` trains with a seed and returns
    tables by the names of their files, as those of the run. `digest` says of which training they are repetitions.
    """
    with replace_folder(out / SEEDS) as fresh:
        for seed in range(first + 1, first + count):
            (fresh / str(seed)).mkdir()
            for name, table in repeat(seed).items():
                write_parquet(fresh / str(seed) / name, table)
        write_json(fresh / _OF, {"training": digest, "first": first, "count": count})


def forget_seeds(out: Path) -> None:
    """Remove the repetitions of an earlier training."""
    if (out / SEEDS).exists():
        shutil.rmtree(out / SEEDS)


def other_seeds(out: Path, training: str) -> bool:
    """Say whether there are further seeds, and they repeat another training than the digest `training`.

    They do where training anew was ended before its own further seeds took their place.
    """
    if not (out / SEEDS).exists():
        return False
    path = out / SEEDS / _OF
    return not path.exists() or bool(json.loads(path.read_text())["training"] != training)


def seed_runs(out: Path, training: str, reachable: Reachable | None = None) -> dict[int, JudgedRun]:
    """Return seed → the run's further trainings, whose labels were opened by the run's evaluation.

    None that repeat another training than the digest `training`. Each has the thresholds of its own validation
    predictions; those of an earlier version kept none, and have none.
    """
    found: dict[int, JudgedRun] = {}
    if other_seeds(out, training):
        return found
    for folder in sorted((out / SEEDS).glob("*")):
        if re.fullmatch(r"\d+", folder.name) and (folder / _PREDICTIONS).exists():
            predictions = Predictions.read(folder / _PREDICTIONS)
            found[int(folder.name)] = JudgedRun(predictions, validation_thresholds(folder), reachable)
    return found


def over_seeds(out: Path, own: JudgedRun, seed: int, training: str) -> Mapping[str, Any]:
    """Write the further seeds' `test_predictions.parquet`, and return the mean and spread of each metric by member.

    Empty where there are none, or they are of another training than the digest `training`.

    Raises:
        SourceDataError: the scores of a seed are of other anchors.
    """
    if not (out / SEEDS).exists() or other_seeds(out, training):
        return {}
    for folder in sorted((out / SEEDS).glob("*")):
        if (folder / _SCORES).exists():
            write_parquet(folder / _PREDICTIONS, _labelled(folder, own.predictions).to_table())
    further = {str(number): run for number, run in seed_runs(out, training, own.reachable).items()}
    runs = {str(seed): own} | further
    spreads = compare_runs(runs, metrics=()).spreads
    members = {who: {name: _as_json(spread) for name, spread in row.items()} for who, row in spreads.items()}
    return {"seeds": [int(name) for name in runs], "members": members}


def _labelled(folder: Path, own: Predictions) -> Predictions:
    scores = pq.read_table(folder / _SCORES)
    if not same_rows(scores, own.to_table()):
        raise SourceDataError(
            f"Scores of {scores.num_rows} anchors in {folder} do not fit the run's {len(own.label)}; expected the same "
            "anchors in the same order. Run `intent train --seeds` again."
        )
    names = [name for name in scores.column_names if name.startswith(PREFIX)]
    probability = {name.removeprefix(PREFIX): scores[name].to_numpy() for name in names}
    return replace(own, probability=probability, slices={})


def _as_json(spread: Spread) -> dict[str, float | int | None]:
    told = {name: getattr(spread, name) for name in ("mean", "deviation", "low", "high")}
    return {**{name: value if math.isfinite(value) else None for name, value in told.items()}, "runs": spread.runs}
