"""The commands, one module each, in the order in which a run uses them."""

from collections.abc import Callable
from typing import Any

from intent_cli.commands.adapters import adapters
from intent_cli.commands.apply import apply
from intent_cli.commands.compare import compare
from intent_cli.commands.consistency import consistency
from intent_cli.commands.dataset import dataset
from intent_cli.commands.evaluate import evaluate
from intent_cli.commands.feedback import feedback
from intent_cli.commands.figures import figures
from intent_cli.commands.ingest import ingest
from intent_cli.commands.init import init
from intent_cli.commands.materialize import materialize
from intent_cli.commands.parity import parity
from intent_cli.commands.plan import plan
from intent_cli.commands.promote import promote
from intent_cli.commands.publish import publish
from intent_cli.commands.score import score
from intent_cli.commands.serve import serve
from intent_cli.commands.simulate import simulate
from intent_cli.commands.train import train
from intent_cli.commands.tune import tune

__all__ = ["COMMANDS"]

COMMANDS: dict[str, Callable[..., Any]] = {
    command.__name__: command
    for command in (
        init,
        adapters,
        simulate,
        ingest,
        plan,
        apply,
        dataset,
        tune,
        train,
        evaluate,
        compare,
        figures,
        publish,
        promote,
        materialize,
        score,
        serve,
        parity,
        consistency,
        feedback,
    )
}
