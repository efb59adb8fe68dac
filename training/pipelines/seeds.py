"""The same training with other seeds: how much of a figure is luck. Nothing of it is exported or served."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.errors import SourceDataError
from training.atomic import replace_folder, write_json, write_parquet
from training.evaluation.compare import Spread, compare_runs
from training.evaluation.predictions import PREFIX, Predictions

__all__ = ["SEEDS", "fit_more_seeds", "forget_seeds", "over_seeds", "seed_predictions"]

SEEDS = "seeds"
_SCORES, _PREDICTIONS, _OF = "test_scores.parquet", "test_predictions.parquet", "of_training.json"


def fit_more_seeds(out: Path, first: int, count: int, digest: str, scores: Callable[[int], pa.Table]) -> None:
    """Replace `<out>/seeds/` by the test scores of `count` - 1 further trainings, one folder a seed.

    The run's own `first` seed counts as one of `count`; the others follow it. `scores` trains with a seed and returns
    the table of `test_scores.parquet`. `digest` says of which training they are repetitions.
    """
    with replace_folder(out / SEEDS) as fresh:
        for seed in range(first + 1, first + count):
            (fresh / str(seed)).mkdir()
            write_parquet(fresh / str(seed) / _SCORES, scores(seed))
        write_json(fresh / _OF, {"training": digest, "first": first, "count": count})


def forget_seeds(out: Path) -> None:
    """Remove the repetitions of an earlier training."""
    if (out / SEEDS).exists():
        shutil.rmtree(out / SEEDS)


def seed_predictions(out: Path) -> dict[int, Predictions]:
    """Return seed → predictions of the run's further trainings, whose labels were opened by the run's evaluation."""
    found = {}
    for folder in sorted((out / SEEDS).glob("*")):
        if re.fullmatch(r"\d+", folder.name) and (folder / _PREDICTIONS).exists():
            found[int(folder.name)] = Predictions.read(folder / _PREDICTIONS)
    return found


def over_seeds(out: Path, own: Predictions, seed: int, training: str) -> Mapping[str, Any]:
    """Write the further seeds' `test_predictions.parquet`, and return the mean and spread of each metric by member.

    Empty where there are none, or they are of another training than the digest `training`.

    Raises:
        SourceDataError: the scores of a seed are of other anchors.
    """
    path = out / SEEDS / _OF
    if not path.exists() or json.loads(path.read_text())["training"] != training:
        return {}
    runs = {str(seed): own}
    for folder in sorted((out / SEEDS).glob("*")):
        if (folder / _SCORES).exists():
            runs[folder.name] = _labelled(folder, own)
            write_parquet(folder / _PREDICTIONS, runs[folder.name].to_table())
    spreads = compare_runs(runs, draws=1).spreads
    members = {who: {name: _as_json(spread) for name, spread in row.items()} for who, row in spreads.items()}
    return {"seeds": [int(name) for name in runs], "members": members}


def _labelled(folder: Path, own: Predictions) -> Predictions:
    scores = pq.read_table(folder / _SCORES)
    if scores["user_id"].to_pylist() != own.user_id.tolist():
        raise SourceDataError(
            f"Scores of {scores.num_rows} anchors in {folder} do not fit the run's {len(own.label)}; expected the same "
            "anchors in the same order. Run `intent train --seeds` again."
        )
    names = [name for name in scores.column_names if name.startswith(PREFIX)]
    probability = {name.removeprefix(PREFIX): scores[name].to_numpy() for name in names}
    return Predictions(own.user_id, own.anchor_us, own.label, probability)


def _as_json(spread: Spread) -> dict[str, float | int | None]:
    deviation = spread.deviation if spread.runs > 1 else None
    return {"mean": spread.mean, "deviation": deviation, "low": spread.low, "high": spread.high, "runs": spread.runs}
