"""Runs side by side: those judged on the same anchors together, seeds as repetitions of one run."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from feature_repo.errors import InputError, SourceDataError
from training.evaluation.ceiling import CEILING_FILE, REACHED
from training.evaluation.compare import Comparison, compare_runs, same_anchors
from training.evaluation.decisions import AT_THRESHOLD
from training.evaluation.judged_run import COMPARED, JudgedRun
from training.evaluation.predictions import ENSEMBLE, Predictions
from training.pipelines.distance_to_best import reachable_of
from training.pipelines.seeds import other_seeds, seed_runs
from training.pipelines.whole_training import judged_metrics

__all__ = ["By", "compare_folders"]

By = Literal["member", "run"]


@dataclass(frozen=True)
class _Folder:
    """A run's folder, and what was judged of it: seed → run, its own seed first.

    `left_out`: further seeds are there, but of another training.
    """

    path: Path
    seeds: dict[int, JudgedRun]
    left_out: bool

    @property
    def own(self) -> Predictions:
        return next(iter(self.seeds.values())).predictions


def compare_folders(
    folders: Sequence[Path],
    *,
    by: By = "member",
    against: str | None = None,
    member: str | None = None,
    metrics: Sequence[str] = (),
) -> list[Comparison]:
    """Return one comparison for each set of runs that was judged on the same anchors, in the order given.

    By member, runs are repetitions with other seeds, further seeds of a run (`intent train --seeds`) among them, and
    members are compared. By run, the runs themselves are: what `member` (the ensemble unless given) predicts in each,
    named by its folder, with the run's further seeds as repetitions.

    `metrics` are those whose differences are told. Without any it is all; those that a run cannot have, for it kept
    nothing to choose a threshold on, are NaN then.

    Raises:
        SourceDataError: a run was not evaluated, was trained anew since, or does not keep what one of `metrics` needs.
        InputError: two runs have the same seed (by member) or name (by run), a name is not known, or `member` is
            given where members are compared.
    """
    if member is not None and by != "run":
        raise InputError(
            f"Whose predictions are compared (--member {member}) is asked of runs; got --by {by}, which compares all "
            f"members. Expected --by run with it, or --against {member} to compare the others with it."
        )
    groups: dict[str, list[_Folder]] = {}
    for path in folders:
        folder = _read(path)
        _require_kept(folder, metrics)
        groups.setdefault(same_anchors(folder.own), []).append(folder)
    asked = tuple(metrics) or COMPARED
    return [_compare(group, by, against, member, asked) for group in groups.values()]


def _compare(
    folders: list[_Folder], by: By, against: str | None, member: str | None, metrics: Sequence[str]
) -> Comparison:
    if by == "member":
        found = compare_runs(_as_repetitions(folders), against=against, metrics=metrics)
    else:
        names = _names([folder.path for folder in folders])
        runs = _by_name(folders, names, member or ENSEMBLE)
        found = compare_runs(runs, against=against or names[folders[0].path], metrics=metrics, members=False)
    return replace(found, seeds_left_out=tuple(str(folder.path) for folder in folders if folder.left_out))


def _by_name(folders: list[_Folder], names: dict[Path, str], who: str) -> dict[str, JudgedRun]:
    """Return repetitions in which each folder's `who` stands under the folder's name."""
    merged: dict[str, dict[str, JudgedRun]] = {}
    for folder in folders:
        for number, run in enumerate(folder.seeds.values()):
            if who not in run.predictions.probability:
                known = ", ".join(run.predictions.members)
                raise InputError(f"Member {who!r} is not in {folder.path}; expected one of {known}.")
            merged.setdefault(f"repetition {number + 1}", {})[names[folder.path]] = run
    return {number: _side_by_side(found, who) for number, found in merged.items()}


def _side_by_side(runs: dict[str, JudgedRun], who: str) -> JudgedRun:
    """Return what `who` predicted in each run as one run; what was reached counts from the first one's constant."""
    first = next(iter(runs.values())).predictions
    probability = {name: run.predictions.probability[who] for name, run in runs.items()}
    thresholds = {name: run.thresholds[who] for name, run in runs.items() if who in run.thresholds}
    ends = [run.reachable for run in runs.values()]
    predictions = replace(first, probability=probability, slices={})
    return JudgedRun(predictions, thresholds, ends[0] if all(ends) else None)


def _as_repetitions(folders: Iterable[_Folder]) -> dict[str, JudgedRun]:
    runs: dict[str, JudgedRun] = {}
    owner: dict[int, Path] = {}
    for folder in folders:
        for seed, run in folder.seeds.items():
            if seed in owner:
                raise InputError(
                    f"Runs {owner[seed]} and {folder.path} have the same seed {seed}; expected repetitions with "
                    "different ones. Compare the runs themselves with --by run, or train one with another seed."
                )
            owner[seed] = folder.path
            runs[f"{folder.path.name}, seed {seed}"] = run
    return runs


def _names(folders: list[Path]) -> dict[Path, str]:
    names = {folder: folder.name for folder in folders}
    if len(set(names.values())) < len(names):
        names = {folder: str(folder) for folder in folders}
    return names


def _read(folder: Path) -> _Folder:
    """Read a run and its further seeds; the thresholds of its own seed are those that its evaluation chose."""
    predictions = Predictions.read(folder / "test_predictions.parquet")
    metrics = judged_metrics(folder)
    further = metrics.get("further", {})
    thresholds = {who: found["threshold"] for who, found in further.items() if found.get("threshold") is not None}
    ends = None
    if (folder / CEILING_FILE).exists():
        ends = reachable_of(folder, predictions, metrics["splits"]["train"]["base_rate"])
    own = JudgedRun(predictions, thresholds, ends)
    training = metrics["training"]
    seeds = {int(metrics["seed"]): own} | seed_runs(folder, training, ends)
    return _Folder(folder, seeds, other_seeds(folder, training))


def _require_kept(folder: _Folder, metrics: Iterable[str]) -> None:
    """Refuse a metric that a run keeps nothing for, and say what to do."""
    decides = [name for name in metrics if name in AT_THRESHOLD]
    for seed, run in folder.seeds.items():
        lacking = [who for who in run.predictions.members if math.isnan(run.thresholds.get(who, math.nan))]
        if decides and lacking:
            raise SourceDataError(
                f"Seed {seed} of the run {folder.path} keeps no predictions of its validation period for "
                f"{', '.join(lacking)}, so no threshold can be chosen for {', '.join(decides)}; expected them beside "
                f"its scores, which an earlier version did not keep. Run `intent train --seeds {len(folder.seeds)}` "
                "and `intent evaluate` again, or ask for other metrics with --metric."
            )
    if REACHED in metrics and next(iter(folder.seeds.values())).reachable is None:
        raise SourceDataError(
            f"{REACHED} needs the true probabilities, and the run {folder.path} has no {CEILING_FILE}; expected a "
            "simulated shop (`intent simulate`), of which alone they are known. Ask for other metrics with --metric."
        )
