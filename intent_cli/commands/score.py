"""`intent score`: every customer, in a batch."""

from pathlib import Path
from typing import Annotated

import typer

from intent_cli.options import DEFAULT_CONFIG, DEFAULT_OUT, AsJson, At, Config

__all__ = ["score"]


def score(
    out: Annotated[Path, typer.Option("--out", help="Parquet or CSV file to write.", metavar="FILE")],
    everyone: Annotated[bool, typer.Option("--all", help="Every customer who bought before.")] = False,
    at: At = None,
    run: Annotated[Path, typer.Option("--run", help="Folder of the run.", metavar="DIR", envvar="INTENT_OUT")] = (
        DEFAULT_OUT
    ),
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Score every customer at a moment, with the numbers that the service gives for it.

    Example: intent score --all --at 2001-02-19 --out artifacts/scores.parquet
    """
    from feature_repo.errors import RequestError
    from intent_cli.batch_scoring import score_everyone
    from intent_cli.moments import moment_of
    from intent_cli.progress import progress
    from intent_cli.reports import report
    from training.pipelines.stages import measured
    from training.settings import Settings

    if not everyone:
        raise RequestError("No customers named: got neither --all nor anything else; expected --all. Add it.")
    if out.suffix not in (".parquet", ".csv"):
        raise RequestError(f"Cannot write {out.name}; expected a name that ends in .parquet or .csv. Rename it.")
    settings = Settings.load(config)
    moment = moment_of(at) or settings.log_end
    with measured("score", run) as stage:
        table = score_everyone(settings, run, moment, progress(as_json))
        _write(out, table)
        stage.rows = table.num_rows
    report(as_json, {"at": moment.isoformat(), "customers": table.num_rows, "file": str(out)}, stage)
    if not as_json:
        typer.echo(f"  {table.num_rows:,} customers as of {moment:%Y-%m-%d %H:%M} UTC, in {out}")


def _write(out: Path, table: object) -> None:
    import io

    import pyarrow.csv

    from training.atomic import write_bytes, write_parquet

    if out.suffix == ".parquet":
        write_parquet(out, table)
        return
    text = io.BytesIO()
    pyarrow.csv.write_csv(table, text)
    write_bytes(out, text.getvalue())
