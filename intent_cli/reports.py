"""How a command reports: one line for a person, or one JSON object for a program."""

import json
from dataclasses import asdict
from typing import Any

import typer

from training.pipelines.stages import Stage

__all__ = ["report"]


def report(as_json: bool, result: dict[str, Any], stage: Stage) -> None:
    """Print the stage's line, or with `as_json` the whole result as one JSON object."""
    if as_json:
        typer.echo(json.dumps(result | {"stage": asdict(stage)}, default=str))
    else:
        typer.echo(stage.line())
