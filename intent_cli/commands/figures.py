"""`intent figures`: a run's figures beside those that others reached under the same protocol."""

import typer

from intent_cli.options import DEFAULT_CONFIG, DEFAULT_OUT, AsJson, Config, Out

__all__ = ["figures"]


def figures(config: Config = DEFAULT_CONFIG, out: Out = DEFAULT_OUT, as_json: AsJson = False) -> None:
    """Print what each member reached on the test period, and beside it what is known from the same protocol.

    Example: intent figures --config intent.toml --out artifacts/demo
    """
    import json

    from intent_cli.tables import figure_lines
    from training.pipelines.figures import figures_of
    from training.settings import Settings

    tables = figures_of(Settings.load(config), out)
    if as_json:
        typer.echo(json.dumps([table.to_json() for table in tables]))
        return
    for table in tables:
        typer.echo("\n".join(figure_lines(table)))
