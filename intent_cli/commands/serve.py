"""`intent serve`: the built bento over the run's online store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intent_cli.options import DEFAULT_CONFIG, DEFAULT_OUT, AsJson, Config, Out, OutboxUrl

if TYPE_CHECKING:
    from intent_cli.bento_server import Bento
    from training.settings import Settings

__all__ = ["serve"]

_SHOWN = 5


def serve(
    port: Annotated[int, typer.Option(help="Port to listen on.", envvar="PORT")] = 3000,
    host: Annotated[
        str,
        typer.Option(help="IP address to listen on; any but the loopback address needs --keys.", envvar="INTENT_HOST"),
    ] = "127.0.0.1",
    keys: Annotated[
        Path | None, typer.Option(help="File of API keys.", metavar="FILE", envvar="INTENT_KEYS_FILE")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that score.", envvar="WORKERS", min=1, max=64)] = 1,
    check: Annotated[
        bool, typer.Option("--check", help="Score five customers by what was published, and stop.")
    ] = False,
    outbox: OutboxUrl = None,
    config: Config = DEFAULT_CONFIG,
    out: Out = DEFAULT_OUT,
    as_json: AsJson = False,
) -> None:
    """Serve the built bento until Ctrl-C: over the store that INTENT_ONLINE_URL names, or the profile's.

    API keys: see `intent keys create`, or INTENT_KEYS for their JSON itself. Answers about a tenth of the customers are
    logged, under pseudonyms, to `answers` in the run's folder, or where INTENT_SERVED_LOG says; empty: none are.

    Example: intent serve --port 3000 --workers 1
    """
    import os
    from dataclasses import replace

    from intent_cli import bento_server
    from intent_cli.online_address import serving_address
    from intent_cli.promotion import slots_folder
    from services.event_intake import OUTBOX_VARIABLE
    from services.served_log import FOLDER_VARIABLE
    from training.pipelines.stream_log import outbox_url
    from training.settings import Settings

    settings = Settings.load(config)
    if check:  # of what was published, whatever was promoted
        _check(bento_server.published_bento(out, serving_address(out)), settings, out, as_json)
        return
    named = os.environ.get(FOLDER_VARIABLE, str(out / "answers"))
    answers = str(Path(named).resolve()) if named else ""
    bento = bento_server.published_bento(out, serving_address(out), logs=bool(answers))
    bento = replace(bento, slots=slots_folder(out))
    more = _keys(keys) | {OUTBOX_VARIABLE: outbox or outbox_url(out.resolve()), FOLDER_VARIABLE: answers}
    with bento_server.running(bento, port, workers, out / "serve.log", host, more) as server:
        typer.echo(f"{bento.tag} is ready on {server.address}; its log is {out / 'serve.log'}. Ctrl-C stops it.")
        server.wait_for_interrupt()
    typer.echo("Stopped.")


def _keys(file: Path | None) -> dict[str, str]:
    import os

    from services.configured_keys import FILE_VARIABLE, KEYS_VARIABLE

    if file is not None:
        return {FILE_VARIABLE: str(file.resolve()), KEYS_VARIABLE: os.environ.get(KEYS_VARIABLE, "")}
    return {KEYS_VARIABLE: os.environ[KEYS_VARIABLE]} if os.environ.get(KEYS_VARIABLE) else {}


def _check(bento: "Bento", settings: "Settings", out: Path, as_json: bool) -> None:
    from intent_cli import bento_server
    from intent_cli.reports import report
    from services.client import IntentClient
    from training.dataset.anchors import some_customers
    from training.pipelines.stages import measured

    at = settings.log_end
    with measured("serve", out) as stage:
        serving = bento_server.running(bento, None, log=out / "check.log")
        with serving as server, IntentClient(server.address) as client:
            user_ids = [*some_customers(out, _SHOWN - 1, settings.seed), "nobody-we-know"]
            answers = [client.score(user_id, at).model_dump(mode="json") for user_id in user_ids]
        stage.rows = len(answers)
    report(as_json, {"bento": bento.tag, "at": at.isoformat(), "answers": answers}, stage)
    if not as_json:
        for user_id, answer in zip(user_ids, answers, strict=True):
            typer.echo(f"  {user_id}: {_line(answer)}")


def _line(answer: dict[str, Any]) -> str:
    views = ", ".join(f"{name} {view['status']}" for name, view in answer["views"].items())
    cold = ", cold start" if answer["cold_start"] else ""
    within = answer["horizon_days"]
    return f"probability {answer['probability']:.4f} in {within} day{'s' * (within != 1)} ({views}{cold})"
