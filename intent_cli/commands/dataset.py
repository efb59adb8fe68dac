"""`intent dataset`: build the point-in-time training set."""

import typer

from intent_cli.options import DEFAULT_CONFIG, DEFAULT_OUT, AsJson, Config, Out

__all__ = ["dataset"]


def dataset(config: Config = DEFAULT_CONFIG, out: Out = DEFAULT_OUT, as_json: AsJson = False) -> None:
    """Join every anchor with its features as they were known at the time, row for row, split by time.

    Example: intent dataset --config intent.toml --out artifacts/demo
    """
    from intent_cli.progress import progress
    from intent_cli.reports import report
    from training.pipelines.build_dataset import build_dataset
    from training.pipelines.feature_store import open_store
    from training.pipelines.stages import measured
    from training.settings import Settings

    settings = Settings.load(config)
    with measured("dataset", out) as stage:
        built = build_dataset(open_store(out), settings, out, progress(as_json))
        stage.rows = built.rows
    report(as_json, {"splits": built.splits, "dropped": built.dropped, "null_share": built.null_share}, stage)
    if as_json:
        return
    for name, split in built.splits.items():
        typer.echo(
            f"  {name}: {split['from']} to {split['to']}, {split['anchors']:,} anchors, "
            f"{split['base_rate']:.2%} positive"
        )
    if built.dropped:
        typer.echo(f"  dropped, because a border cuts their label window: {', '.join(built.dropped)}")
