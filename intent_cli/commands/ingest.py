"""`intent ingest`: a shop's data into the canonical log."""

from pathlib import Path
from typing import Annotated

import typer

from intent_cli.options import DEFAULT_CONFIG, DEFAULT_OUT, AsJson, Config, Out

__all__ = ["ingest"]


def ingest(
    path: Annotated[Path | None, typer.Argument(help="A file or folder, instead of the one in the settings.")] = None,
    adapter: Annotated[str | None, typer.Option(help="An adapter, instead of the one in the settings.")] = None,
    sample: Annotated[
        float | None, typer.Option(help="Only this share of the customers, such as 0.05.", envvar="INTENT_SAMPLE")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    out: Out = DEFAULT_OUT,
    as_json: AsJson = False,
) -> None:
    """Turn a shop's data into the canonical log: events, users, items, and a quarantine of rows that cannot be used.

    A benchmark table that is no log is written beside, typed and counted. `intent adapters` lists what can be read.

    Example: intent ingest --config intent.toml --out artifacts/demo
    """
    from intent_cli.progress import progress
    from intent_cli.reports import report
    from training.adapters import ingest as run
    from training.pipelines.stages import measured
    from training.settings import Settings

    settings = Settings.load(config)
    with measured("ingest", out) as stage:
        result = run(settings, out, adapter=adapter, path=path, sample=sample, progress=progress(as_json))
        stage.rows = result.rows_in
    report(as_json, result.to_json(), stage)
    if result.replaced:
        adapter_before, source_before = result.replaced
        typer.echo(
            f"Replaced in {out}: the log that the adapter {adapter_before} had made of {source_before}. To keep a log, "
            "name another folder with --out.",
            err=True,
        )
    if as_json:
        return
    if result.table_rows:
        typer.echo(f"  {result.table_rows:,} rows of a benchmark table in {out / 'sessions'}; no events")
    else:
        typer.echo(f"  {result.events:,} events, {result.users:,} customers' rows, {result.items:,} items' rows")
    for what, count in result.attribute_rows.items():
        typer.echo(f"  rows of other files, {what.replace('_', ' ')}: {count:,}")
    for reason, count in result.quarantined.items():
        typer.echo(f"  quarantined, {reason}: {count:,}")
    if not result.quarantined:
        typer.echo("  quarantined: none")
    for fact in result.odd:
        typer.echo(f"  odd: {fact}")
