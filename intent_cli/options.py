"""Options that several commands share, under the same names."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["AsJson", "Config", "Out", "Seed"]

Config = Annotated[Path, typer.Option("--config", help="Settings of the run.", metavar="FILE")]
Out = Annotated[Path, typer.Option("--out", help="Folder of the run.", metavar="DIR", envvar="INTENT_OUT")]
AsJson = Annotated[bool, typer.Option("--json", help="Report as JSON on standard output.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Instead of the seed in the settings.")]

DEFAULT_CONFIG = Path("intent.toml")
DEFAULT_OUT = Path("artifacts/demo")
