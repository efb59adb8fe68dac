"""`intent materialize`: put what is known at a moment into the online store."""

from typing import Annotated

import typer

from intent_cli.options import DEFAULT_CONFIG, DEFAULT_OUT, AsJson, At, Config, Out

__all__ = ["materialize"]


def materialize(
    at: At = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="First remove this project's online rows, pushed ones included.")
    ] = False,
    only_new: Annotated[
        bool, typer.Option("--only-new", help="Read only what became known since the last run, less a day.")
    ] = False,
    ledger: Annotated[
        str | None,
        typer.Option("--ledger", metavar="URL", help="Where runs are noted, instead of the run's own file."),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    out: Out = DEFAULT_OUT,
    as_json: AsJson = False,
) -> None:
    """Bring every view's newest values known at a moment online; streamed events go on from there.

    In place and in chunks: what is newer stays, and the same command after a kill goes on where it was. The store goes
    only forward in time, unless it is rebuilt.

    Example: intent materialize --at 2001-03-01 --out artifacts/demo
    """
    from feature_repo.streaming.online import OnlineViews
    from intent_cli.moments import moment_of
    from intent_cli.online_address import packed_store, profile_address
    from intent_cli.progress import progress
    from intent_cli.reports import report
    from training.dataset.log_manifest import stream_position, streamed_event_id
    from training.pipelines.feature_store import materialise, require_current_features
    from training.pipelines.stages import measured
    from training.settings import Settings

    settings = Settings.load(config)
    moment = moment_of(at) or settings.log_end
    with measured("materialize", out) as stage:
        require_current_features(out)
        keys = materialise(out, moment, progress(as_json), ledger=ledger, rebuild=rebuild, only_new=only_new)
        known = stream_position(out, moment)
        OnlineViews(packed_store(profile_address(out))).begin(known, streamed_event_id(out, known))
        stage.rows = sum(keys.values())
    report(as_json, {"at": moment.isoformat(), "keys": keys}, stage)
    if not as_json:
        typer.echo(f"  as of {moment:%Y-%m-%d %H:%M} UTC: " + ", ".join(f"{n} {k:,}" for n, k in keys.items()))
