"""The step `tune` on a run's folder: read the training period alone, search, and leave settings for `intent train`."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from feature_repo.errors import InputError, SettingsError
from training.atomic import write_json
from training.dataset.examples import Examples
from training.models import installed_members_for, member, members_for, require_members_for
from training.models.contract import FitSettings, Value
from training.models.told_member import require_installed, told_member
from training.pipelines.same_question import require_same_question
from training.pipelines.task_features import examples_of_split, fit_settings
from training.progress import Progress, Silent
from training.settings import Settings
from training.tasks import task_named
from training.tuning.auto import AutoRecord, Contender, require_time, tune_together
from training.tuning.forward_folds import FOLDS, forward_folds
from training.tuning.queue import finished
from training.tuning.record import StudyRecord, record_of
from training.tuning.scores import require_score
from training.tuning.search_space import fingerprint, searched
from training.tuning.study import SAMPLERS, Identity, Sampler, open_study, storage_url
from training.tuning.trials import Budget, Trials
from training.tuning.tuned_settings import TUNED, TunedSettings, data_of, read_tuned, write_tuned

__all__ = ["TuneOptions", "parse_budget", "tune_auto", "tune_member"]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class TuneOptions:
    """How to tune. `only`: names of parameters to search, or `name=value,value`; all that are declared so if empty.

    `name` is the study's, the member's own unless given; of members tuned together each has one of its own, called
    `<name>-<member>`. `study`: address of their database. `metric` judges a trial (`training/tuning/scores.py`).
    """

    budget: Budget
    sampler: Sampler = "tpe"
    metric: str = "levelled_log_loss"
    only: tuple[str, ...] = ()
    folds: int = FOLDS
    study: str | None = None
    name: str | None = None


def parse_budget(text: str) -> float:
    """Return the seconds that `text` means: a number with s, m or h, such as 90s, 30m, 1.5h.

    >>> parse_budget("30m")
    1800.0

    Raises:
        InputError: it is not that.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if found is None or float(found[1]) <= 0:
        raise InputError(f"Budget {text!r} is no time; expected a number and a unit, such as 90s, 30m or 1.5h.")
    return float(found[1]) * _UNITS[found[2]]


def tune_member(
    settings: Settings, out: Path, name: str, options: TuneOptions, progress: Progress
) -> tuple[StudyRecord, Path]:
    """Search the settings of one member; return the record and the path of the settings written.

    The record goes to `<out>/tuning/<name of the study>.json`, what it chooses into `<out>/tuned.json` beside what is
    there: only of the parameters that it searched it has the last word.

    Raises:
        InputError: the member, a parameter, the sampler or the metric is not known, a package of the member is not
            installed, the study is another one, or what its trials predicted is not kept here.
        SplitError: the training period has no dates to judge by.
    """
    examples, told = _training_period(settings, out)
    one = told_member(name, settings.members)
    if not one.parameters:
        raise InputError(f"Member {name!r} has nothing to tune; expected one with parameters: {_tunable(settings)}.")
    require_installed(one)
    contender = _contender(settings, out, name, examples, told, options)
    planned = contender.trials.planned(options.budget)
    with progress.task(f"tuning {name}", planned, "trials") as task:
        task.advance(min(len(finished(contender.study)), planned))
        contender.trials.run(contender.study, options.budget, task)
    record = contender.record()
    write_json(_record_path(out, options.name or name), record.to_json())
    return record, _keep(settings, out, {name: record}, None)


def tune_auto(
    settings: Settings, out: Path, members: Sequence[str] | None, options: TuneOptions, progress: Progress
) -> tuple[AutoRecord, Path]:
    """Choose members and their settings together; return the record and the path of the settings written.

    Of members that nobody named, those whose packages are not installed are among the failed.

    Raises:
        InputError: as `tune_member`; or no time is given.
    """
    require_time(options.budget)  # before a study is begun
    examples, told = _training_period(settings, out)
    sequences = bool(examples.sample.features.sequences)
    named = members or settings.train.members
    names = named or members_for(settings.task.name, sequences=sequences)
    missing = _not_installed(settings, names)
    if named and missing:
        raise InputError(" ".join(missing.values()))
    names = [name for name in names if name not in missing]
    own = {name: replace(options, name=options.name and f"{options.name}-{name}") for name in names}
    contenders = [_contender(settings, out, name, examples, told, own[name]) for name in names]
    with progress.task("tuning together", 0, "trials") as task:
        record = tune_together(contenders, options.budget, task)
    record = replace(record, failed=missing | record.failed)
    for name, study in record.studies.items():
        write_json(_record_path(out, own[name].name or name), study.to_json())
    write_json(_record_path(out, options.name or "auto"), record.to_json())
    return record, _keep(settings, out, record.studies, record.chosen)


def _training_period(settings: Settings, out: Path) -> tuple[Examples, FitSettings]:
    task = task_named(settings.task.name)
    examples = examples_of_split(settings, out, "train")
    require_same_question(settings, out)
    told = fit_settings(settings, out, settings.seed, Silent())
    return examples.dated(task.dates(examples.anchor_us, settings)), told


def _not_installed(settings: Settings, names: Sequence[str]) -> dict[str, str]:
    """Return member → why not, of those that need a package which is not there; what is told of any is checked."""
    found: dict[str, str] = {}
    for one in [told_member(name, settings.members) for name in names]:
        try:
            require_installed(one)
        except InputError as problem:
            found[one.name] = str(problem)
    return found


def _record_path(out: Path, study_name: str) -> Path:
    """Return where the record of a study goes: one of another name leaves it alone."""
    return out / "tuning" / f"{_as_file(study_name)}.json"


def _as_file(study_name: str) -> str:
    return re.sub(r"[^\w.-]", "_", study_name)


def _contender(
    settings: Settings, out: Path, name: str, examples: Examples, told: FitSettings, options: TuneOptions
) -> Contender:
    require_members_for(settings.task.name, (name,))
    told = replace(told, parameters=settings.members.get(name, {}))
    found = told_member(name, settings.members).found
    if options.sampler not in SAMPLERS:
        raise InputError(f"Sampler {options.sampler!r} is not known; expected one of {', '.join(SAMPLERS)}.")
    as_told = [replace(one, default=told.parameters.get(one.name, one.default)) for one in found.parameters]
    space = searched(name, as_told, options.only)
    folds = forward_folds(examples, told.horizon_days, options.folds)
    names = {one.name for one in space}
    shared: dict[str, Value] = {one.name: one.default for one in as_told if one.name not in names}
    space_id = fingerprint(space, shared | {"impute": told.impute})
    identity = Identity(name, space_id, data_of(out), require_score(options.metric), len(folds), told.seed)
    study_name = options.name or name
    url = storage_url(out, options.study)
    folder = _predictions_folder(out, study_name, url)
    study = open_study(url, study_name, options.sampler, identity)
    trials = Trials(found, space, examples, folds, told, options.metric, options.sampler, folder)
    trials.require_predictions(study)
    return Contender(name, study, trials, lambda: record_of(study, trials, identity))


def _predictions_folder(out: Path, study_name: str, url: str) -> Path:
    """Return where a study's predictions are kept: two databases may each have one of the same name."""
    database = hashlib.sha256(url.encode()).hexdigest()[:12]
    folder = out / "tuning" / "predictions" / _as_file(study_name) / database
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _keep(settings: Settings, out: Path, records: dict[str, StudyRecord], chosen: tuple[str, ...] | None) -> Path:
    """Put what the records chose into `tuned.json`.

    What an earlier tuning of the same data left there stays, also of the same member, but for the parameters that were
    searched again: of these the last study has the word, which takes out what it does not find better.
    """
    path, data = out / TUNED, data_of(out)
    before = TunedSettings({}, (), data)
    if path.exists():
        try:
            found = read_tuned(path)
            before = found if found.data == data else before
        except (SettingsError, InputError):
            pass  # of an older version, or edited: written anew
    told = {name: _told(before.members.get(name, {}), record) for name, record in records.items()}
    members = {name: values for name, values in (before.members | told).items() if values}
    question = task_named(settings.task.name).question(settings)
    return write_tuned(out, TunedSettings(members, before.chosen if chosen is None else chosen, data, question))


def _told(before: dict[str, Value], record: StudyRecord) -> dict[str, Value]:
    """Return what a member is told after a study, of what it was told before."""
    left = {name: value for name, value in before.items() if name not in record.defaults}
    return left | (record.values if record.better else {})


def _tunable(settings: Settings) -> str:
    names = installed_members_for(settings.task.name)
    return ", ".join(name for name in names if any(parameter.searched for parameter in member(name).parameters))
