"""`intent feedback`: what became of what was served?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intent_cli.options import AsJson

if TYPE_CHECKING:
    from training.consistency.feedback import Feedback, ModelFeedback

__all__ = ["feedback"]

_METRICS = ("roc_auc", "log_loss", "brier", "ece")


def feedback(
    log: Annotated[
        Path,
        typer.Option("--log", help="Folder of the served log and feedback.", metavar="DIR", envvar="INTENT_SERVED_LOG"),
    ],
    as_json: AsJson = False,
) -> int:
    """Join the outcomes that came back to the answers in the served log, and judge each model by them.

    Example: intent feedback --log artifacts/served
    """
    import json

    from training.consistency.feedback import join_feedback

    found = join_feedback(log)
    typer.echo(json.dumps(found.as_dict()) if as_json else "\n".join(_lines(found)))
    return 0


def _lines(found: "Feedback") -> list[str]:
    lines = [f"feedback: {found.outcomes:,} outcomes, {found.joined:,} joined, {found.unknown:,} of answers not logged"]
    if found.cut:
        lines.append(f"  {found.cut} files end in a line that was cut off; it was never acknowledged")
    for tag, model in found.models.items():
        lines += _model_lines(tag, model)
    return lines


def _model_lines(tag: str, model: "ModelFeedback") -> list[str]:
    figures = ", ".join(f"{name} {model.metrics[name]:.4f}" for name in _METRICS)
    head = f"  {tag}: {model.outcomes:,} of {model.answers:,} answers have an outcome"
    bins = [f"    said {one.said:.4f}, bought {one.bought:.4f}, {one.answers:,} answers" for one in model.bins]
    return [head, f"    said {model.said:.4f} on average, bought {model.bought:.4f}; {figures}", *bins]
