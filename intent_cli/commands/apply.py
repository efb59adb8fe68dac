"""`intent apply`: derive the feature tables and register the views."""

import typer

from intent_cli.options import DEFAULT_OUT, AsJson, Out, OutboxUrl

__all__ = ["apply"]


def apply(out: Out = DEFAULT_OUT, outbox: OutboxUrl = None, as_json: AsJson = False) -> None:
    """Add streamed events to the log, derive the tables behind the views from it, and register every view with Feast.

    Example: intent apply --out artifacts/demo
    """
    from intent_cli.progress import progress
    from intent_cli.reports import report
    from training.pipelines import feature_store
    from training.pipelines.stages import measured
    from training.pipelines.stream_log import add_outbox

    with measured("apply", out) as stage:
        streamed = add_outbox(out, outbox, progress(as_json))
        rows = feature_store.derive_from_log(out, progress(as_json))
        views = feature_store.apply(feature_store.open_store(out), out)
        stage.rows = sum(rows.values())
    report(as_json, {"views": views, "rows": rows, "streamed": streamed}, stage)
    if not as_json:
        typer.echo("\n".join(f"  {name}: {rows[name]:,} rows" for name in views))
