"""`intent evaluate`: what the members and the ensemble are worth, out of time."""

from typing import Annotated

import typer

from intent_cli.options import DEFAULT_CONFIG, DEFAULT_OUT, AsJson, Config, Out

__all__ = ["evaluate"]


def evaluate(
    require_targets: Annotated[bool, typer.Option("--require-targets", help="Exit code 2 if one is missed.")] = False,
    config: Config = DEFAULT_CONFIG,
    out: Out = DEFAULT_OUT,
    as_json: AsJson = False,
) -> int:
    """Open the labels of the test period, and write metrics.json, test_predictions.parquet and report.html.

    Example: intent evaluate --config intent.toml --out artifacts/demo
    """
    from intent_cli.progress import progress
    from intent_cli.reports import report
    from intent_cli.tables import metric_lines, target_lines
    from training.pipelines.evaluate import evaluate_run
    from training.pipelines.stages import measured
    from training.settings import Settings

    settings = Settings.load(config)
    with measured("evaluate", out) as stage:
        done = evaluate_run(settings, out, progress(as_json))
        stage.rows = done.evaluation.anchors
    judged = done.evaluation.to_metrics_json()
    report(as_json, judged, stage)
    if not as_json:
        typer.echo("\n".join([*metric_lines(done.evaluation), *target_lines(done.targets)]))
        typer.echo(f"  the whole page: {done.report}")
    return 2 if require_targets and not all(checked.met for checked in done.targets) else 0
