"""`intent train`: the members, and how to combine them."""

from pathlib import Path
from typing import Annotated

import typer

from intent_cli.options import DEFAULT_CONFIG, DEFAULT_OUT, AsJson, Config, Out

__all__ = ["train"]

Tuned = Annotated[
    Path | None, typer.Option("--tuned", metavar="FILE", help="Members and settings as `intent tune` left them.")
]
Seeds = Annotated[
    int, typer.Option("--seeds", min=1, max=20, metavar="N", help="Fit with so many seeds, to see the spread.")
]


def train(
    members: Annotated[list[str] | None, typer.Option("--member", help="Only this member; may be repeated.")] = None,
    tuned: Tuned = None,
    seeds: Seeds = 1,
    config: Config = DEFAULT_CONFIG,
    out: Out = DEFAULT_OUT,
    as_json: AsJson = False,
) -> None:
    """Fit every member, and choose by rolling-origin log loss how they are combined and recalibrated.

    Example: intent train --config intent.toml --out artifacts/demo

    Example: intent train --tuned artifacts/demo/tuned.json --seeds 3
    """
    from dataclasses import asdict

    from intent_cli.progress import progress
    from intent_cli.reports import report
    from training.pipelines.fit import fit_run, repeat_run
    from training.pipelines.stages import measured
    from training.settings import Settings
    from training.tuning.tuned_settings import with_tuned

    settings = Settings.load(config)
    if tuned is not None:
        settings = with_tuned(settings, tuned, out)
    with measured("train", out) as stage:
        trained, stage.rows = fit_run(settings, out, members, progress(as_json))
        repeat_run(settings, out, members, seeds, progress(as_json))
    figures = {name: asdict(found) for name, found in trained.validation.items()}
    cut = {name: lists.to_json() for name, lists in trained.cut_lists.items()}
    too_soon = [name for name, history in trained.histories.items() if history.stopped_too_soon]
    told = {"validation": figures, "ensemble": trained.ensemble.to_json(), "cut_lists": cut}
    report(as_json, told | {"stopped_too_soon": too_soon}, stage)
    if as_json:
        return
    typer.echo("  on the validation period, by models fitted before it (how the ensemble combines them saw it):")
    for name, found in trained.validation.items():
        spent = f", {trained.seconds[name]:.1f} s" if name in trained.seconds else ""
        typer.echo(f"    {name}: AUC {found.roc_auc:.4f}, log loss {found.log_loss:.4f}{spent}")
    ensemble = trained.ensemble
    weights = ", ".join(f"{name} {w:.2f}" for name, w in zip(ensemble.members, ensemble.weights, strict=True))
    typer.echo(f"  ensemble: {ensemble.method} ({weights}), calibration {trained.choice.calibration}")
    for name, lists in trained.cut_lists.items():
        if lists.longer:
            typer.echo(f"  {lists.told(name)}")
    for name in too_soon:
        typer.echo(f"  {name} was still getting better when its epochs were over: see whether more `epochs` help")
    typer.echo(f"  members fitted {'on train and validation' if trained.refitted else 'on train alone'}")
