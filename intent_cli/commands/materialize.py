"""`intent materialize`: put what is known at a moment into the online store."""

import typer

from intent_cli.options import DEFAULT_CONFIG, DEFAULT_OUT, AsJson, At, Config, Out

__all__ = ["materialize"]


def materialize(
    at: At = None,
    config: Config = DEFAULT_CONFIG,
    out: Out = DEFAULT_OUT,
    as_json: AsJson = False,
) -> None:
    """Write every view's newest values known at a moment to the run's online store.

    Example: intent materialize --at 2001-03-01 --out artifacts/demo
    """
    from intent_cli.moments import moment_of
    from intent_cli.progress import progress
    from intent_cli.reports import report
    from training.pipelines.feature_store import materialise, online_path, require_current_features
    from training.pipelines.stages import measured
    from training.settings import Settings

    settings = Settings.load(config)
    moment = moment_of(at) or settings.log_end
    with measured("materialize", out) as stage:
        require_current_features(out)
        keys = materialise(out, moment, progress(as_json), online=online_path(out))
        stage.rows = sum(keys.values())
    report(as_json, {"at": moment.isoformat(), "keys": keys}, stage)
    if not as_json:
        typer.echo(f"  as of {moment:%Y-%m-%d %H:%M} UTC: " + ", ".join(f"{n} {k:,}" for n, k in keys.items()))
