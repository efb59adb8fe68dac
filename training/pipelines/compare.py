"""Runs side by side: those judged on the same anchors together, seeds as repetitions of one run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from feature_repo.errors import InputError, SourceDataError
from training.evaluation.compare import Comparison, compare_runs, same_anchors
from training.evaluation.predictions import ENSEMBLE, Predictions
from training.pipelines.seeds import seed_predictions

__all__ = ["By", "compare_folders"]

By = Literal["member", "run"]


def compare_folders(
    folders: Sequence[Path], *, by: By = "member", against: str | None = None, member: str | None = None
) -> list[Comparison]:
    """Return one comparison for each set of runs that was judged on the same anchors, in the order given.

    By member, runs are repetitions with other seeds, further seeds of a run (`intent train --seeds`) among them, and
    members are compared. By run, the runs themselves are: what `member` (the ensemble unless given) predicts in each,
    named by its folder, with the run's further seeds as repetitions.

    Raises:
        SourceDataError: a run was not evaluated.
        InputError: two runs have the same seed (by member) or name (by run), or a name is not known.
    """
    groups: dict[str, list[Path]] = {}
    read = {folder: Predictions.read(folder / "test_predictions.parquet") for folder in folders}
    for folder, predictions in read.items():
        groups.setdefault(same_anchors(predictions), []).append(folder)
    return [_compare(group, read, by, against, member) for group in groups.values()]


def _compare(
    folders: list[Path], read: dict[Path, Predictions], by: By, against: str | None, member: str | None
) -> Comparison:
    repetitions = {folder: {_seed(folder): read[folder]} | seed_predictions(folder) for folder in folders}
    if by == "member":
        return compare_runs(_as_repetitions(repetitions), against=against)
    names = _names(folders)
    who = member or ENSEMBLE
    merged: dict[str, dict[str, Any]] = {}
    for folder, seeds in repetitions.items():
        for number, predictions in enumerate(seeds.values()):
            if who not in predictions.probability:
                raise InputError(
                    f"Member {who!r} is not in {folder}; expected one of {', '.join(predictions.members)}."
                )
            merged.setdefault(f"repetition {number + 1}", {})[names[folder]] = predictions.probability[who]
    first = read[folders[0]]
    runs = {number: Predictions(first.user_id, first.anchor_us, first.label, found) for number, found in merged.items()}
    return compare_runs(runs, against=against or names[folders[0]])


def _as_repetitions(repetitions: dict[Path, dict[int, Predictions]]) -> dict[str, Predictions]:
    runs: dict[str, Predictions] = {}
    owner: dict[int, Path] = {}
    for folder, seeds in repetitions.items():
        for seed, predictions in seeds.items():
            if seed in owner:
                raise InputError(
                    f"Runs {owner[seed]} and {folder} have the same seed {seed}; expected repetitions with different "
                    "ones. Compare the runs themselves with --by run, or train one with another seed."
                )
            owner[seed] = folder
            runs[f"{folder.name}, seed {seed}"] = predictions
    return runs


def _names(folders: list[Path]) -> dict[Path, str]:
    names = {folder: folder.name for folder in folders}
    if len(set(names.values())) < len(names):
        names = {folder: str(folder) for folder in folders}
    return names


def _seed(folder: Path) -> int:
    path = folder / "metrics.json"
    if not path.exists():
        raise SourceDataError(f"No figures at {path}; expected an evaluated run. Run `intent evaluate` on it first.")
    return int(json.loads(path.read_text())["seed"])
