"""`intent tune`: settings of members that hold forward in time."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from intent_cli.options import DEFAULT_CONFIG, DEFAULT_OUT, AsJson, Config, Out

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from training.settings import Settings
    from training.tuning.auto import AutoRecord
    from training.tuning.record import StudyRecord

__all__ = ["tune"]

_BUDGET = (
    "How long, such as 90s, 30m or 2h. Only the defaults may take longer: a member's own, with --auto those of the "
    "first member; others whose defaults do not fit in are left out, and named."
)
MemberName = Annotated[
    str | None, typer.Argument(metavar="[MEMBER]", help="Whose settings; --auto chooses among several.")
]
Auto = Annotated[bool, typer.Option("--auto", help="Choose members and their settings together; needs --budget.")]
Among = Annotated[
    list[str] | None,
    typer.Option("--member", metavar="NAME", help="With --auto, among these, not those of [train]; may be repeated."),
]
SamplerName = Annotated[
    str, typer.Option("--sampler", metavar="grid|one_at_a_time|random|tpe", help="How values are proposed.")
]
TrialCount = Annotated[
    int | None, typer.Option("--trials", min=1, metavar="N", help="Finished trials in the study, earlier ones counted.")
]
Time = Annotated[str | None, typer.Option("--budget", metavar="TIME", help=_BUDGET)]
Metric = Annotated[str, typer.Option("--metric", metavar="NAME", help="levelled_log_loss, log_loss or brier.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="PARAMETER[=VALUE,…]", help="Search only this one, its values; may be repeated."),
]
Folds = Annotated[int, typer.Option("--folds", min=1, max=20, metavar="N", help="Forward folds, at most.")]
StudyUrl = Annotated[
    str | None,
    typer.Option(
        "--study", metavar="URL", envvar="INTENT_STUDY_URL", help="Database of the studies; SQLite below --out."
    ),
]
StudyName = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", help="The study's name; the member's own. With --auto, NAME-MEMBER."),
]

_TRIALS = 40


def tune(
    member: MemberName = None,
    auto: Auto = False,
    among: Among = None,
    sampler: SamplerName = "tpe",
    trials: TrialCount = None,
    budget: Time = None,
    metric: Metric = "levelled_log_loss",
    only: Only = None,
    folds: Folds = 3,
    study: StudyUrl = None,
    name: StudyName = None,
    config: Config = DEFAULT_CONFIG,
    out: Out = DEFAULT_OUT,
    as_json: AsJson = False,
) -> None:
    """Search a member's settings by rolling-origin folds inside the training period; 40 trials unless told otherwise.

    Example: intent tune boosted_trees --budget 30m

    Example: intent tune --auto --budget 30m

    What it finds goes to tuned.json in the run's folder; `intent train --tuned` takes it. A killed tuning goes on.
    """
    from typing import cast

    from feature_repo.errors import InputError
    from intent_cli.progress import progress
    from training.required_packages import require_packages

    require_packages("`intent tune`", ("optuna",))
    from training.pipelines.tune import TuneOptions, parse_budget, tune_auto, tune_member
    from training.settings import Settings
    from training.tuning.study import Sampler
    from training.tuning.trials import Budget

    if auto == (member is not None):
        raise InputError("Got a member and --auto, or neither; expected `intent tune MEMBER` or `intent tune --auto`.")
    seconds = parse_budget(budget) if budget is not None else None
    count = _TRIALS if trials is None and seconds is None else trials
    how = TuneOptions(Budget(count, seconds), cast(Sampler, sampler), metric, tuple(only or ()), folds, study, name)
    settings = Settings.load(config)
    if seconds is not None and not as_json:
        typer.echo(
            "  the defaults are judged first, and in full even where that takes longer than the budget", err=True
        )
    if member is not None:
        record, path = tune_member(settings, out, member, how, progress(as_json))
        _say_member(record, path, as_json)
    else:
        together, path = tune_auto(settings, out, among, how, progress(as_json))
        _say_auto(together, path, settings, as_json)


def _say_member(record: "StudyRecord", path: "Path", as_json: bool) -> None:
    import json

    from training.tuning.tuned_settings import as_toml, read_tuned

    if as_json:
        typer.echo(json.dumps({**record.to_json(), "settings": str(path)}))
        return
    typer.echo("\n".join(_lines(record)))
    if record.better:
        typer.echo(f"{path} has these settings; for intent.toml:\n\n{as_toml({record.identity.member: record.values})}")
    told = read_tuned(path).members.get(record.identity.member, {})
    earlier = {name: value for name, value in told.items() if name not in record.defaults}
    if earlier:
        named = ", ".join(f"{name} = {json.dumps(value)}" for name, value in earlier.items())
        typer.echo(f"{path} still has {named}, of an earlier study: not judged together with what this one searched")


def _lines(record: "StudyRecord") -> list[str]:
    counts = ", ".join(f"{count} {what}" for what, count in sorted(record.counts.items()))
    noise = "" if record.standard_error is None else f" (standard error {record.standard_error:.5f})"
    member, metric = record.identity.member, record.identity.metric
    laid_out = record.tried if record.sampler in ("grid", "one_at_a_time") else []
    return [
        f"{member}: {counts}, {record.seconds:.0f} s, {metric} over {record.anchors:,} anchors of later dates",
        f"  defaults {record.default:.5f}, best {record.best:.5f}, difference {record.difference:+.5f}{noise}",
        *(f"  {_told(trial, record.defaults)}" for trial in laid_out),
        f"  {_verdict(record)}",
    ]


def _verdict(record: "StudyRecord") -> str:
    from training.tuning.record import BETTER

    if record.better:
        return BETTER
    if not record.tried:
        return "nothing but the defaults was judged: they stay"
    if record.difference >= 0:
        return "nothing that was tried is better than the defaults: they stay"
    return "the best is inside the noise: the defaults stay"


def _told(trial: "Mapping[str, Any]", defaults: "Mapping[str, Any]") -> str:
    """One point that was laid out beforehand: what it has beside the defaults, and what came of it."""
    from training.tuning.record import beside_noise

    values = ", ".join(f"{name} {value}" for name, value in trial["values"].items() if value != defaults[name])
    apart, error = trial["difference"], trial["standard_error"]
    if apart is None or error is None:
        return f"{values}: {trial['state']}"
    return f"{values}: {trial['score']:.5f}, {apart:+.5f} ({error:.5f}), {beside_noise(apart, error)}"


def _say_auto(record: "AutoRecord", path: "Path", settings: "Settings", as_json: bool) -> None:
    import json

    if as_json:
        typer.echo(json.dumps({**record.to_json(), "settings": str(path)}))
        return
    for study in record.studies.values():
        typer.echo("\n".join(_lines(study)))
    for number, names in enumerate(record.rounds, 1):
        typer.echo(f"round {number}: {', '.join(names)}")
    for name, why in record.failed.items():
        typer.echo(f"not fitted, and gone on without: {name}: {why}")
    if record.left_out:
        typer.echo(f"left out, as the time was over before their defaults were judged: {', '.join(record.left_out)}")
    typer.echo(f"chosen: {_chosen(record)}")
    typer.echo(f"{path} has members and settings for `intent train --tuned {path}`")
    if others := _not_considered(record, settings):
        typer.echo(f"not asked for, and so not considered: {', '.join(others)}")


def _chosen(record: "AutoRecord") -> str:
    from training.tuning.record import beside_noise

    if len(record.chosen) == 1:
        return f"{record.chosen[0]} alone, {record.ensemble:.5f}"
    error = record.standard_error
    noise = "" if error is None else f" (standard error {error:.5f}), {beside_noise(record.difference, error)}"
    return (
        f"{', '.join(record.chosen)}; their mean {record.ensemble:.5f}, {record.best_member} alone {record.best:.5f}, "
        f"difference {record.difference:+.5f}{noise}"
    )


def _not_considered(record: "AutoRecord", settings: "Settings") -> list[str]:
    """Return the members that answer the task as well, but that nobody asked for."""
    from training.models import installed_members_for

    asked = {*record.studies, *record.failed, *record.left_out}
    return [name for name in installed_members_for(settings.task.name) if name not in asked]
