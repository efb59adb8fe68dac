"""`intent init`: write an `intent.toml`."""

from pathlib import Path
from typing import Annotated

import typer

from intent_cli.options import DEFAULT_CONFIG

__all__ = ["init"]


def init(
    adapter: Annotated[str, typer.Option(help="Which adapter reads the data; `intent adapters` lists them.")] = "table",
    config: Annotated[Path, typer.Option("--config", help="Where to write it.", metavar="FILE")] = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write an intent.toml: adapter, column mapping, horizon, anchor rule, splits, seed.

    Example: intent init --adapter table --config shop.toml
    """
    from feature_repo.errors import SettingsError
    from training.adapters import adapters
    from training.atomic import write_text
    from training.settings import template

    if adapter not in adapters():
        raise SettingsError(f"Unknown adapter {adapter!r}; expected one of {sorted(adapters())}. Name one of these.")
    if config.exists() and not force:
        raise SettingsError(
            f"{config} is there already; expected to write a new file. Name another with --config, or replace it "
            "with --force."
        )
    write_text(config, template(adapter))
    told = f"--config {config} --out artifacts/{config.stem}"
    typer.echo(f"Wrote {config}. Adapt it to your data, then run, as every later command: intent ingest {told}")
