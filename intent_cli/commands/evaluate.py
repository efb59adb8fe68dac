"""`intent evaluate`: what the members and the ensemble are worth, out of time."""

from typing import Annotated

import typer

from intent_cli.options import DEFAULT_CONFIG, DEFAULT_OUT, AsJson, Config, Out

__all__ = ["evaluate"]

Require = Annotated[
    bool, typer.Option("--require-targets", help="Exit code 2 if one, or what is required of the ensemble, is missed.")
]
Robustness = Annotated[
    bool, typer.Option("--robustness", help="Judge a sample of anchors on damaged logs too (a minute or so).")
]
Metrics = Annotated[
    list[str] | None, typer.Option("--metric", metavar="NAME", help="Print only this metric; may be repeated.")
]
Members = Annotated[
    list[str] | None, typer.Option("--member", metavar="NAME", help="Print only this member; may be repeated.")
]
Mlflow = Annotated[
    str | None, typer.Option("--mlflow", metavar="URI", help="Record the run in this MLflow store, such as ./mlruns.")
]


def evaluate(
    require_targets: Require = False,
    robustness: Robustness = False,
    metrics: Metrics = None,
    members: Members = None,
    mlflow: Mlflow = None,
    config: Config = DEFAULT_CONFIG,
    out: Out = DEFAULT_OUT,
    as_json: AsJson = False,
) -> int:
    """Open the labels of the test period, and write metrics.json, test_predictions.parquet and report.html.

    Example: intent evaluate --config intent.toml --out artifacts/demo

    Example: intent evaluate --robustness --metric roc_auc --metric f1

    Of the ensemble it is required to be no worse in AUC than its best member, by the whole interval of the paired
    difference, to be better calibrated (ECE), and not to be behind logistic regression where that is a member.
    """
    from intent_cli.progress import progress
    from intent_cli.reports import report
    from intent_cli.tables import interval_lines, metric_lines, robustness_lines, seed_lines, target_lines
    from services.runtimes import load_member
    from training.evaluation.known_names import require_members, require_metrics
    from training.pipelines.evaluate import evaluate_run, scored_members
    from training.pipelines.mlflow_record import record_run, require_mlflow
    from training.pipelines.robustness import judge_robustness
    from training.pipelines.stages import measured
    from training.settings import Settings

    shown = require_metrics(metrics or ())
    if mlflow is not None:
        require_mlflow()
    settings = Settings.load(config)
    named = require_members(members, scored_members(out)) if members else ()
    with measured("evaluate", out) as stage:
        if robustness:
            judge_robustness(settings, out, load_member, progress(as_json))
        done = evaluate_run(settings, out, progress(as_json))
        stage.rows = done.evaluation.anchors
    if mlflow is not None:
        record_run(out, mlflow)
    judged = done.evaluation.to_metrics_json()
    further = {"further": done.evaluation.further_json(), "fairness": [table.to_json() for table in done.fairness]}
    measured_too = {
        "robustness": done.robustness,
        "intervals": done.intervals,
        "targets": [checked.to_json() for checked in done.targets],
    }
    report(as_json, judged | further | measured_too, stage)
    if not as_json:
        typer.echo(
            "\n".join(
                [
                    *metric_lines(done.evaluation, shown, named or tuple(done.evaluation.metrics)),
                    *seed_lines(done.seeds, shown, out),
                    *interval_lines(done.intervals),
                    *(robustness_lines(done.robustness) if robustness else ()),
                    *target_lines(done.targets),
                ]
            )
        )
        typer.echo(f"  the whole page: {done.report}")
    missed = any(checked.missed for checked in done.targets)
    reached = not missed and all(one.met for one in done.evaluation.requirements)
    return 2 if require_targets and not reached else 0
