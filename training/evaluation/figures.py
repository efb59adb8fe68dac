"""The report's figures about the predictions: how well they rank, and how true the probabilities are."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from training.evaluation.curves import Curve, MemberCurves, Reliability
from training.evaluation.evaluate import Evaluation
from training.evaluation.inline_svg import (
    COLOURS,
    DASHES,
    figure,
    in_page_style,
    inline_svg,
    percent_axis,
    series_colour,
    tidy,
)
from training.evaluation.predictions import ENSEMBLE
from training.evaluation.report_numbers import METRIC_NAMES

__all__ = ["gain", "intervals", "ranking", "reliability", "scores"]

FloatArray = NDArray[np.float64]

HALF, WHOLE = 5.4, 10.9  # inches: half the page's width and all of it


@in_page_style
def intervals(evaluation: Evaluation) -> str:
    """Draw each member's ROC-AUC and log loss with their intervals; a member with one score for all is left out."""
    ranked = [
        name
        for name in evaluation.metrics
        if evaluation.intervals[name]["roc_auc"].high > evaluation.intervals[name]["roc_auc"].low
    ]
    if not ranked:
        return ""
    places = _places(list(evaluation.metrics))
    made, axes = figure(WHOLE, 0.85 + 0.3 * len(ranked), 2, share_y=True)
    for panel, metric in zip(axes, ("roc_auc", "log_loss"), strict=True):
        for row, name in enumerate(ranked):
            ends, colour = evaluation.intervals[name][metric], series_colour(places[name])
            panel.plot([ends.low, ends.high], [row, row], color=colour, linewidth=2.2, alpha=0.55)
            panel.plot([evaluation.metrics[name][metric]], [row], "o", color=colour, markersize=6)
        better = "higher is better" if metric == "roc_auc" else "lower is better"
        tidy(panel, METRIC_NAMES[metric], better, "")
        panel.set_yticks(range(len(ranked)), ranked)
        panel.tick_params(axis="y", length=0)
        panel.set_ylim(len(ranked) - 0.5, -0.5)
        panel.xaxis.set_major_locator(MaxNLocator(5))
        panel.xaxis.set_major_formatter("{x:.3f}")
        panel.spines["left"].set_visible(False)
    told = "; ".join(
        f"{name} {evaluation.metrics[name]['roc_auc']:.4f} and {evaluation.metrics[name]['log_loss']:.4f}"
        for name in ranked
    )
    return inline_svg(made, "intervals", f"ROC-AUC and log loss of each member with 95 % intervals: {told}.")


@in_page_style
def ranking(curves: Mapping[str, MemberCurves], base_rate: float) -> str:
    """Draw the ROC and the precision-recall curves of all members side by side."""
    if not curves:
        return ""
    made, (left, right) = figure(WHOLE, 4.7, 2)
    left.plot([0, 1], [0, 1], color=COLOURS["muted"], linewidth=0.8, linestyle=":")
    right.plot([0, 1], [base_rate, base_rate], color=COLOURS["muted"], linewidth=0.8, linestyle=":")
    places = _places(list(curves))
    _lines(left, places, {name: part.roc for name, part in curves.items()})
    _lines(right, places, {name: part.pr for name, part in curves.items()})
    tidy(left, "ROC", "non-buyers flagged", "buyers found")
    tidy(right, "Precision and recall", "buyers found", "buyers among those flagged")
    for panel in (left, right):
        _unit(panel)
    _legend(left, "lower right")
    return inline_svg(made, "ranking", f"ROC and precision-recall curves of {', '.join(curves)}.")


@in_page_style
def gain(curves: Mapping[str, MemberCurves]) -> str:
    """Draw how many of the buyers are among the best-scored share of customers."""
    if not curves:
        return ""
    made, (panel,) = figure(HALF, 4.4)
    panel.plot([0, 1], [0, 1], color=COLOURS["muted"], linewidth=0.8, linestyle=":")
    panel.axvline(0.1, color=COLOURS["muted"], linewidth=0.8, linestyle=":")
    _lines(panel, _places(list(curves)), {name: part.gain for name, part in curves.items()})
    tidy(panel, "Cumulative gain", "customers contacted, best first", "buyers reached")
    _unit(panel)
    _legend(panel, "lower right")
    return inline_svg(made, "gain", f"Cumulative gain of {', '.join(curves)}.")


@in_page_style
def reliability(curves: Mapping[str, MemberCurves]) -> str:
    """Draw predicted against observed shares; the ensemble (or the only member) with its intervals."""
    if not curves:
        return ""
    made, (panel,) = figure(HALF, 4.4)
    shown = [name for name, part in curves.items() if len(part.reliability.count) > 1] or list(curves)
    top = max(
        float(max(part.predicted.max(initial=0.05), part.high.max(initial=0.05)))
        for part in (curves[name].reliability for name in shown)
    )
    panel.plot([0, 1], [0, 1], color=COLOURS["muted"], linewidth=0.8, linestyle=":")
    places = _places(list(curves))
    _lines(panel, places, {name: curves[name].reliability for name in shown})
    first = ENSEMBLE if ENSEMBLE in shown else shown[0]
    lead, colour = curves[first].reliability, series_colour(places[first])
    panel.vlines(lead.predicted, lead.low, lead.high, color=colour, linewidth=1.0, alpha=0.6)
    panel.plot(lead.predicted, lead.observed, "o", color=colour, markersize=4)
    tidy(panel, "Calibration", "predicted probability", "share that bought")
    limit = min(1.0, top * 1.08)
    panel.set(xlim=(0, limit), ylim=(0, limit))
    for axis in (panel.xaxis, panel.yaxis):
        percent_axis(axis)
    _legend(panel, "upper left")
    return inline_svg(made, "reliability", f"Predicted probability against observed share of {', '.join(shown)}.")


@in_page_style
def scores(member: str, curves: MemberCurves) -> str:
    """Draw how many buyers and non-buyers got which score from `member`."""
    made, (panel,) = figure(WHOLE, 3.3)
    found = curves.histogram
    width = np.diff(found.edges)
    for counts, below, colour, name in (
        (found.positives, np.zeros_like(found.positives), "s0", "bought"),
        (found.negatives, found.positives, "s1", "did not buy"),
    ):
        panel.bar(
            found.edges[:-1],
            counts,
            width * 0.92,
            bottom=below,
            align="edge",
            color=COLOURS[colour],
            alpha=1.0 if colour == "s0" else 0.45,
            label=name,
            linewidth=0,
        )
    tidy(panel, f"Scores of {member}", "predicted probability", "anchors")
    percent_axis(panel.xaxis)
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    used = np.flatnonzero(found.positives + found.negatives)
    panel.set_xlim(0.0, found.edges[used[-1] + 1] if len(used) else 1.0)
    panel.grid(visible=False, axis="x")
    _legend(panel, "upper right")
    return inline_svg(made, "scores", f"Histogram of the scores of {member}, buyers and non-buyers apart.")


def _places(names: Sequence[str]) -> dict[str, int]:
    """Return each member's place among the colours: 0 for the ensemble, then 1, 2, … in the given order."""
    alone = [name for name in names if name != ENSEMBLE]
    return {ENSEMBLE: 0} | {name: place + 1 for place, name in enumerate(alone)}


def _lines(panel: Axes, places: Mapping[str, int], lines: Mapping[str, Curve | Reliability]) -> None:
    """Draw `lines`, the ensemble last and so on top; a colour belongs to a member in every figure."""
    for name in sorted(lines, key=lambda name: -places[name]):
        x, y = _points(lines[name])
        place = places[name]
        panel.plot(
            x,
            y,
            color=series_colour(place),
            linewidth=2.0 if place == 0 else 1.2,
            linestyle=DASHES[place % len(DASHES)],
            label=name,
        )


def _points(line: Curve | Reliability) -> tuple[FloatArray, FloatArray]:
    return (line.predicted, line.observed) if isinstance(line, Reliability) else (line.x, line.y)


def _legend(panel: Axes, where: str) -> None:
    handles, labels = panel.get_legend_handles_labels()
    if handles:
        panel.legend(handles[::-1], labels[::-1], loc=where, handlelength=2.6)


def _unit(panel: Axes) -> None:
    panel.set(xlim=(0, 1), ylim=(0, 1.005))
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        percent_axis(axis)
