"""The `intent` command. Commands import what they need when they run: `--help` answers at once."""

import json
import os
import sys
import time
from collections.abc import Sequence

import typer

from feature_repo.errors import IntentError
from intent_cli.commands import COMMANDS
from intent_cli.commands.events import events
from intent_cli.commands.keys import keys
from intent_cli.without_pandas import forgo_pandas

__all__ = ["app", "main"]

app = typer.Typer(
    name="intent",
    help="Will this customer buy, what, and what to do about it: from a shop's events to a served probability.",
    epilog="Exit codes: 0 ok, 1 your input, 2 a difference was found, 3 a dependency is down. "
    "--debug shows the traceback of an error.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
app.add_typer(events, name="events")
app.add_typer(keys, name="keys")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, in a process of its own, and leave with its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["ingest"]:
        forgo_pandas()
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code: 0 ok, 1 input, 2 difference, 3 dependency down."""
    _settle()
    debug = "--debug" in arguments
    if not arguments:
        arguments = ["--help"]
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        result = app(args=arguments, standalone_mode=False)
    except typer.Exit as leaving:
        return leaving.exit_code
    except typer.TyperException as problem:
        _say(_usage(problem), arguments)
        return 1
    except (KeyboardInterrupt, typer.Abort):
        _say("Stopped. What was finished is kept; run the same command to go on.", arguments)
        return 130
    except IntentError as problem:
        if debug:
            raise
        _say(str(problem), arguments)
        return problem.exit_code
    except Exception as problem:
        if debug:
            raise
        _say(_unexpected(problem), arguments)
        return 1
    return result if isinstance(result, int) else 0


def _usage(problem: typer.TyperException) -> str:
    """What was wrong with the command line, and where its help is."""
    context = getattr(problem, "ctx", None)
    message = problem.format_message() if hasattr(problem, "format_message") else str(problem)
    return f"{message.rstrip('.')}. Run `{context.command_path if context else 'intent'} --help` for what is expected."


def _unexpected(problem: Exception) -> str:
    """What to say of an error that no step knows: a missing package and a lack of memory have words of their own."""
    from training.required_packages import PLATFORM, not_installed

    package = (getattr(problem, "name", None) or "").partition(".")[0]
    if isinstance(problem, ModuleNotFoundError) and package in PLATFORM:
        return str(not_installed("This command", package))
    if isinstance(problem, MemoryError):
        told = f": {problem}" if str(problem) else ""
        return f"Memory ran out{told}. What was finished is kept; free some, and run the same command again."
    return f"Unexpected {type(problem).__name__}: {problem}. Run again with --debug for the traceback."


def _settle() -> None:
    """Tell every library, before it is imported, what it takes from the environment alone."""
    os.environ["TZ"] = "UTC"  # Feast's SQLite store writes local time
    time.tzset()
    # A thread of XGBoost that has nothing to do would otherwise spin, and take the core of another process: beside some
    # others a fit on two threads took three times as long as on one.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _say(message: str, arguments: list[str]) -> None:
    if "--json" in arguments:
        typer.echo(json.dumps({"error": message}))
    else:
        typer.secho(f"Error: {message}", fg="red", err=True)


if __name__ == "__main__":
    main()
