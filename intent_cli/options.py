"""Options that several commands share, under the same names."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["AsJson", "At", "Config", "Out", "OutboxUrl"]

Config = Annotated[Path, typer.Option("--config", help="Settings of the run.", metavar="FILE")]
Out = Annotated[Path, typer.Option("--out", help="Folder of the run.", metavar="DIR", envvar="INTENT_OUT")]
AsJson = Annotated[bool, typer.Option("--json", help="Report as JSON on standard output.")]
At = Annotated[
    str | None,
    typer.Option("--at", help="The moment, ISO 8601, UTC unless it names a zone; the end of the log unless given."),
]
OutboxUrl = Annotated[
    str | None,
    typer.Option("--outbox", metavar="URL", envvar="INTENT_OUTBOX_URL", help="The outbox, instead of the run's own."),
]

DEFAULT_CONFIG = Path("intent.toml")
DEFAULT_OUT = Path("artifacts/demo")
