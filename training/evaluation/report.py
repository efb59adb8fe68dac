"""One page that shows a whole run: no network, no script, a few hundred kilobytes, the same bytes for the same run."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from training.atomic import write_text
from training.evaluation import figures, figures_of_models
from training.evaluation.decisions import AT_THRESHOLD, BRIER_PARTS, GAINS
from training.evaluation.evaluate import Evaluation
from training.evaluation.metrics import METRICS
from training.evaluation.paired import MARGIN, itself
from training.evaluation.predictions import ENSEMBLE
from training.evaluation.report_numbers import FILTERS, FURTHER_NAMES, METRIC_NAMES, best_of, rail
from training.evaluation.report_parts import (
    Candidate,
    Oddity,
    ReportInput,
    ShapSummary,
    SplitCount,
    Stage,
    TrainingCurve,
)
from training.evaluation.rounding import alike
from training.evaluation.slices import MIN_PER_CLASS, SliceMetrics

__all__ = [
    "Candidate",
    "Oddity",
    "ReportInput",
    "ShapSummary",
    "SplitCount",
    "Stage",
    "TrainingCurve",
    "render",
    "write_report",
]

Row = TypeVar("Row")
HEADLINES = ("roc_auc", "pr_auc", "log_loss", "ece", "lift_at_10")
MEANINGS = {
    "roc_auc": "chance that a buyer is scored above a non-buyer; 0.5 is a coin",
    "pr_auc": "mean precision over all thresholds; the base rate is a coin",
    "log_loss": "surprise at what happened, in nats; lower is better",
    "brier": "mean squared error of the probability; lower is better",
    "ece": "mean gap between promised and observed share, over 15 bins of equal size; lower is better",
    "lift_at_10": "how many times the base rate the best-scored tenth buys",
}


def write_report(path: Path, report: ReportInput) -> None:
    """Write the page of `report` to `path`, whole or not at all."""
    write_text(path, render(report))


def render(report: ReportInput) -> str:
    """Return the page as HTML: self-contained, readable without scripts, below 3 MB whatever the input's size.

    A part that is empty or not finite is said to be so; nothing of it raises.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    template = environment.get_template("report.html.j2")
    member = itself(report.evaluation.metrics) if report.evaluation else None
    return template.render(_context(_shown_once(report, member) if member else report, member))


def _shown_once(report: ReportInput, member: str) -> ReportInput:
    """Return the report without the rows and lines of `member` that repeat the ensemble's."""

    def once(rows: Mapping[str, Row]) -> dict[str, Row]:
        return {name: row for name, row in rows.items() if name != member or not alike(row, rows.get(ENSEMBLE))}

    found, curves = report.evaluation, report.curves
    if found is not None:
        found = replace(
            found, metrics=once(found.metrics), intervals=once(found.intervals), further=once(found.further)
        )
    return replace(
        report,
        evaluation=found,
        curves={name: curve for name, curve in curves.items() if name != member},
        seeds=report.seeds and {**report.seeds, "members": once(report.seeds["members"])},
        ceiling=report.ceiling and {**report.ceiling, "share": once(report.ceiling["share"])},
    )


def _context(report: ReportInput, member: str | None) -> dict[str, Any]:
    evaluation = report.evaluation
    metrics = evaluation.metrics if evaluation else {}
    lead = _lead(metrics)
    return {
        "report": report,
        "evaluation": evaluation,
        "metrics": METRICS,
        "metric_names": METRIC_NAMES,
        "meanings": MEANINGS,
        "lead": lead,
        "itself": member,
        "pairs": [pair for pair in (evaluation.pairs if evaluation else ()) if not pair.same],
        "headline_metrics": HEADLINES,
        "best": best_of(metrics, METRICS),
        "figures": {name: Markup(svg) for name, svg in _figures(report, lead).items()},  # noqa: S704
        "slices": _slice_rows(evaluation, lead),
        "asked": [checked for checked in report.targets if checked.asked],
        "missed": [checked for checked in report.targets if checked.missed],
        "not_asked": list(dict.fromkeys(checked.target.subject for checked in report.targets if not checked.asked)),
        "margin": MARGIN,
        "min_per_class": MIN_PER_CLASS,
        "slowest": max((stage.seconds for stage in report.stages if math.isfinite(stage.seconds)), default=0.0),
        "top_features": figures_of_models.TOP_FEATURES,
        "at_threshold": AT_THRESHOLD,
        "gains": tuple(GAINS),
        "brier_parts": BRIER_PARTS,
        "fairness_metrics": (*METRICS, *AT_THRESHOLD),
        "further_names": METRIC_NAMES | FURTHER_NAMES,
    }


def _lead(metrics: Mapping[str, Mapping[str, float]]) -> str | None:
    """Return whose figures head the page: the ensemble, else the last member."""
    if ENSEMBLE in metrics:
        return ENSEMBLE
    return next(reversed(list(metrics)), None)


def _figures(report: ReportInput, lead: str | None) -> dict[str, str]:
    """Return each figure as SVG; empty text where there is nothing to draw."""
    curves, evaluation = report.curves, report.evaluation
    drawn = lead if lead in curves else next(reversed(list(curves)), None)
    return {
        "intervals": figures.intervals(evaluation) if evaluation else "",
        "ranking": figures.ranking(curves, evaluation.base_rate if evaluation else math.nan),
        "gain": figures.gain(curves),
        "reliability": figures.reliability(curves),
        "scores": figures.scores(drawn, curves[drawn]) if drawn is not None else "",
        "shap": figures_of_models.shap_summary(report.shap),
        "training": figures_of_models.training_curves(report.training_curves),
    }


def _slice_rows(evaluation: Evaluation | None, lead: str | None) -> list[dict[str, Any]]:
    """Return the slices by column, each with its place on a rail that all of them share."""
    if evaluation is None or lead is None:
        return []
    span = _span(evaluation.slices, lead)
    columns: dict[str, list[dict[str, Any]]] = {}
    for part in evaluation.slices:
        columns.setdefault(part.column, []).append(_slice_row(part, lead, span))
    return [{"column": column, "parts": parts} for column, parts in columns.items()]


def _slice_row(part: SliceMetrics, lead: str, span: tuple[float, float]) -> dict[str, Any]:
    values, intervals = part.metrics.get(lead, {}), part.intervals.get(lead, {})
    on_rail = None
    if values and intervals:
        interval = intervals["roc_auc"]
        on_rail = rail(interval.low, values["roc_auc"], interval.high, span)
    values = {**values, **part.further.get(lead, {})}
    return {"part": part, "values": values, "intervals": intervals, "rail": on_rail}


def _span(slices: tuple[SliceMetrics, ...], lead: str) -> tuple[float, float]:
    found = [part.intervals[lead]["roc_auc"] for part in slices if lead in part.intervals]
    lows = [interval.low for interval in found if math.isfinite(interval.low)]
    highs = [interval.high for interval in found if math.isfinite(interval.high)]
    return (min(lows), max(highs)) if lows and highs else (math.nan, math.nan)
