"""`intent dataset`: build the point-in-time training set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from intent_cli.options import DEFAULT_CONFIG, DEFAULT_OUT, AsJson, Config, Out

if TYPE_CHECKING:
    from training.pipelines.build_dataset import DatasetReport
    from training.settings import Settings

__all__ = ["dataset"]

Action = Annotated[Literal["build"], typer.Argument(help="What to do: there is one thing.")]
Anchors = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Parquet or CSV with user_id[, item_id], event_timestamp[, label][, split] and columns of your own, "
        "instead of the rule in the settings.",
    ),
]
Service = Annotated[
    str | None, typer.Option(metavar="NAME", help="Feature service of the repository, instead of the task's.")
]
ChunkRows = Annotated[int, typer.Option(metavar="N", min=1, help="Anchors joined at a time; bounds the memory.")]
To = Annotated[
    Path | None,
    typer.Option("--to", metavar="DIR", help="Where to write, instead of the run's dataset/, from which it trains."),
]


Log = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Ask the log and the features of this run, instead of OUT's own.")
]


def dataset(
    action: Action = "build",
    anchors: Anchors = None,
    service: Service = None,
    chunk_rows: ChunkRows = 50_000,
    to: To = None,
    log: Log = None,
    config: Config = DEFAULT_CONFIG,
    out: Out = DEFAULT_OUT,
    as_json: AsJson = False,
) -> None:
    """Join every anchor with its features as they were known at the time, row for row, split by time.

    Example: intent dataset build --config intent.toml --out artifacts/demo

    Example: intent dataset build --anchors anchors.csv --to artifacts/mine

    A killed build goes on where it was. A feature that looks past its anchor, or that gives the label away by itself,
    fails it.
    """
    from intent_cli.progress import progress
    from intent_cli.reports import report
    from training.pipelines.build_dataset import BuildOptions, build_dataset
    from training.pipelines.feature_store import open_store, require_current_features
    from training.pipelines.shared_log import share_log
    from training.pipelines.stages import measured
    from training.tasks import task_named

    settings = _settings(config, anchors)
    if log is not None:
        share_log(log, out)
    with measured("dataset" if to is None else f"dataset {to.name}", out) as stage:
        options = BuildOptions(anchors, service, chunk_rows, to)
        of_table = settings is not None and task_named(settings.task.name).of_table
        if not of_table:
            require_current_features(out)
        store = None if of_table else open_store(out)
        built = build_dataset(store, settings, out, progress(as_json), options)
        stage.rows = built.rows
    facts = {
        name: getattr(built, name)
        for name in ("splits", "dropped", "dropped_anchors", "censored", "null_share", "leak_checks")
    }
    report(as_json, facts, stage)
    if not as_json:
        _say(built)


def _settings(config: Path, anchors: Path | None) -> "Settings | None":
    """Read the settings; an anchors file needs none, unless they were asked for by name."""
    from training.settings import Settings

    if anchors is not None and config == DEFAULT_CONFIG and not config.exists():
        return None
    return Settings.load(config)


def _say(built: "DatasetReport") -> None:
    for name, split in built.splits.items():
        rate = "no labels" if split["base_rate"] is None else f"{split['base_rate']:.2%} positive"
        typer.echo(f"  {name}: {split['from']} to {split['to']}, {split['anchors']:,} anchors, {rate}")
    if built.dropped:
        typer.echo(f"  dropped, because a border cuts their label window: {', '.join(built.dropped)}")
    elif built.dropped_anchors:
        typer.echo(f"  dropped, because their label window lies in no split: {built.dropped_anchors:,} anchors")
    for reason, count in built.censored.items():
        typer.echo(f"  {reason}: {count:,}")
    if built.reused_parts:
        typer.echo(f"  {built.reused_parts} parts were there already, from the same sources and settings")
