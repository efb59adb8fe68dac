"""`intent apply`: derive the feature tables and register the views."""

import typer

from intent_cli.options import DEFAULT_OUT, AsJson, Out

__all__ = ["apply"]


def apply(out: Out = DEFAULT_OUT, as_json: AsJson = False) -> None:
    """Derive the tables behind the views from the log, and register every view in the run's Feast registry.

    Example: intent apply --out artifacts/demo
    """
    from intent_cli.progress import progress
    from intent_cli.reports import report
    from training.pipelines import feature_store
    from training.pipelines.stages import measured

    with measured("apply", out) as stage:
        rows = feature_store.derive_from_log(out, progress(as_json))
        views = feature_store.apply(feature_store.open_store(out), out)
        stage.rows = sum(rows.values())
    report(as_json, {"views": views, "rows": rows}, stage)
    if not as_json:
        typer.echo("\n".join(f"  {name}: {rows[name]:,} rows" for name in views))
