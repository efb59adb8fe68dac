"""`intent compare`: runs on the same test, over seeds, in pairs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intent_cli.options import AsJson

if TYPE_CHECKING:
    from training.evaluation.compare import Comparison
    from training.evaluation.paired import Paired

__all__ = ["compare"]

Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of evaluated runs.")]
ByWhat = Annotated[
    str, typer.Option("--by", metavar="member|run", help="Compare members over the runs, or the runs themselves.")
]
Against = Annotated[
    str | None, typer.Option("--against", metavar="NAME", help="With whom the others are compared; the ensemble.")
]
Member = Annotated[
    str | None, typer.Option("--member", metavar="NAME", help="With --by run: whose predictions; the ensemble's.")
]
Metric = Annotated[
    list[str] | None, typer.Option("--metric", metavar="NAME", help="Print only this metric; may be repeated.")
]

_FEW = 3
_SHOWN = ("roc_auc", "pr_auc", "log_loss", "ece")


def compare(
    runs: Runs,
    by: ByWhat = "member",
    against: Against = None,
    member: Member = None,
    metrics: Metric = None,
    as_json: AsJson = False,
) -> None:
    """Print mean and spread over runs with different seeds, and differences in pairs over the same customers.

    Example: intent compare artifacts/demo

    Example: intent compare artifacts/demo artifacts/other --by run --metric log_loss --metric f1

    Every metric of `intent evaluate` is known, each training's decisions at its own threshold, and of a simulated shop
    `reached`, the share of the way to the best log loss. Differences take time; only those shown are drawn. Runs of
    different tests (other tasks, other splits) are compared apart. Further seeds of a run, as `intent train
    --seeds 3` leaves them, are repetitions, unless they are of another training: they are left out then, and that is
    told. A run that was trained anew since its evaluation is refused. What is required of an ensemble (`intent evaluate
    --help`) is told last.
    """
    import json
    from typing import cast

    from feature_repo.errors import InputError
    from training.evaluation.judged_run import COMPARED
    from training.pipelines.compare import By, compare_folders

    if by not in ("member", "run"):
        raise InputError(f"Comparing by {by!r} is not known; expected member or run.")
    unknown = [name for name in metrics or () if name not in COMPARED]
    if unknown:
        raise InputError(f"Metric {unknown[0]!r} is not compared; expected one of {', '.join(COMPARED)}.")
    shown = tuple(dict.fromkeys(metrics or _SHOWN))
    asked = tuple(metrics or ()) if as_json else shown
    folders = list(dict.fromkeys(runs))
    found = compare_folders(folders, by=cast(By, by), against=against, member=member, metrics=asked)
    if as_json:
        typer.echo(json.dumps([one.to_json() for one in found]))
        return
    for one in found:
        typer.echo("\n".join(_lines(one, shown)))


def _lines(found: "Comparison", metrics: tuple[str, ...]) -> list[str]:
    runs = len(found.runs)
    lines = [f"{found.anchors:,} anchors of {found.customers:,} customers, {found.positives:,} positive, {runs} runs"]
    width = max(len(name) for name in found.spreads)
    lines.append("  " + " " * width + "".join(f"{name:>20}" for name in metrics) + "   runs")
    for who, spreads in found.spreads.items():
        cells = "".join(f"{_mean(spreads[name].mean, spreads[name].deviation):>20}" for name in metrics)
        lines.append(f"  {who:<{width}}{cells}   {spreads['log_loss'].runs}")
    for folder in found.seeds_left_out:
        lines.append(f"  further seeds below {folder} are of another training, and were left out:")
        lines.append(f"    run `intent train --seeds N --out {folder}`, then `intent evaluate --out {folder}`")
    if runs < _FEW:
        lines.append(f"  fewer than {_FEW} runs: how much of this is the seed's luck is not known")
    for pair in found.pairs:
        lines.append(f"  {pair.first} minus {pair.second}:")
        for name in metrics:
            one = pair.differences[name]
            ends = f"({one.interval.low:+.4f} to {one.interval.high:+.4f})"
            lines.append(f"    {name} {one.estimate:+.4f} {ends}, {one.verdict}")
    return lines + [line for pair in found.ensemble for line in _asked(pair)]


def _asked(pair: "Paired") -> list[str]:
    """What is asked of the ensemble against one member, as far as the metrics that were drawn answer it."""
    who = f"{pair.member}{', the best member in hindsight' * pair.best}"
    if pair.same:
        return [f"  the ensemble is {who}, as it is"]
    asked = [f"    {one.text}" for one in pair.requirements]
    return [f"  the ensemble against {who}:", *asked] if asked else []


def _mean(mean: float, deviation: float) -> str:
    return f"{mean:.4f}" + (f" ± {deviation:.4f}" if deviation == deviation else "")
