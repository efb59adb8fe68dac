"""The report's figures about the members: what the trees use, and how the networks learned."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from training.evaluation.inline_svg import COLOURS, figure, in_page_style, inline_svg, tidy
from training.evaluation.report_parts import ShapSummary, TrainingCurve

__all__ = ["TOP_FEATURES", "shap_summary", "training_curves"]

TOP_FEATURES = 15
SWARM_ROWS = 250  # points a feature: keeps the whole figure below half a megabyte
LEVELS = 5
WHOLE = 10.9

FloatArray = NDArray[np.float64]


@in_page_style
def shap_summary(shap: ShapSummary | None) -> str:
    """Draw the mean |SHAP value| of the strongest features, and a sample's values coloured by the feature's own."""
    if shap is None or not np.isfinite(shap.mean_abs).any():
        return ""
    usable = np.where(np.isfinite(shap.mean_abs), shap.mean_abs, -1.0)
    top = np.argsort(-usable, kind="stable")[:TOP_FEATURES]
    top = top[usable[top] >= 0.0]
    names = [shap.names[place] for place in top]
    with_sample = len(shap.values) > 0
    made, axes = figure(WHOLE, 1.0 + 0.29 * len(top), 2 if with_sample else 1, share_y=with_sample)
    bars = axes[0]
    bars.barh(range(len(top)), usable[top], color=COLOURS["s0"], height=0.6, linewidth=0)
    tidy(bars, "Mean effect", "mean |SHAP value|, log-odds", "")
    bars.set_yticks(range(len(top)), names)
    bars.set_ylim(len(top) - 0.4, -0.6)
    bars.tick_params(axis="y", length=0)
    bars.grid(visible=False, axis="y")
    if with_sample:
        _swarm(axes[1], shap.values[:, top], shap.features[:, top])
    told = ", ".join(f"{name} {usable[place]:.3f}" for name, place in zip(names, top, strict=True))
    return inline_svg(made, "shap", f"Mean absolute SHAP value of the strongest features of {shap.member}: {told}.")


@in_page_style
def training_curves(curves: tuple[TrainingCurve, ...]) -> str:
    """Draw each network's loss by epoch, in training and on validation."""
    shown = [curve for curve in curves if np.isfinite(curve.train).any() or np.isfinite(curve.validation).any()]
    if not shown:
        return ""
    made, axes = figure(WHOLE if len(shown) > 1 else 6.6, 3.4, len(shown))
    for panel, curve in zip(axes, shown, strict=True):
        for values, colour, name, dash in (
            (curve.train, "s1", "training", (0, (5, 1.5))),
            (curve.validation, "s0", "validation", "-"),
        ):
            epochs = np.arange(1, len(values) + 1)
            panel.plot(epochs, values, color=COLOURS[colour], linewidth=1.6, linestyle=dash, label=name)
        if curve.kept_epoch is not None:
            panel.axvline(curve.kept_epoch, color=COLOURS["muted"], linewidth=0.9, linestyle=":", label="kept")
        tidy(panel, curve.member, "epoch", "log loss")
        panel.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        panel.legend(loc="upper right")
    told = ", ".join(f"{curve.member} over {len(curve.validation)} epochs" for curve in shown)
    return inline_svg(made, "training", f"Log loss by epoch in training and on validation: {told}.")


def _swarm(panel: Axes, values: FloatArray, features: FloatArray) -> None:
    rows = np.linspace(0, len(values) - 1, min(len(values), SWARM_ROWS)).astype(np.int64)
    for place in range(values.shape[1]):
        column, level = values[rows, place], _levels(features[rows, place])
        height = place + _spread(column)
        for number in range(LEVELS):
            at = (level == number) & np.isfinite(column)
            panel.plot(column[at], height[at], ".", color=COLOURS[f"v{number}"], markersize=3.6, alpha=0.8)
        unknown = (level < 0) & np.isfinite(column)
        panel.plot(column[unknown], height[unknown], ".", color=COLOURS["muted"], markersize=3.6, alpha=0.6)
    panel.axvline(0.0, color=COLOURS["muted"], linewidth=0.8)
    tidy(panel, "A sample of customers", "SHAP value, log-odds", "")
    panel.tick_params(axis="y", length=0, labelleft=False)
    panel.grid(visible=False, axis="y")
    for number, name in ((0, "low"), (LEVELS - 1, "high")):
        panel.plot([], [], ".", color=COLOURS[f"v{number}"], markersize=8, label=f"{name} value")
    panel.plot([], [], ".", color=COLOURS["muted"], markersize=8, label="missing")
    panel.legend(loc="lower right", handlelength=1.0)


def _levels(feature: FloatArray) -> NDArray[np.int64]:
    """Return 0 … 4 by the rank of each value (ties share a level), -1 where it is missing."""
    known = np.isfinite(feature)
    result = np.full(len(feature), -1, dtype=np.int64)
    distinct = np.unique(feature[known])
    if len(distinct) == 1:
        result[known] = LEVELS // 2
        return result
    place = np.searchsorted(np.sort(feature[known]), feature[known], side="left")
    highest = max(int(place.max(initial=0)), 1)
    result[known] = np.minimum(place * LEVELS // (highest + 1), LEVELS - 1)
    return result


def _spread(column: FloatArray) -> FloatArray:
    """Return a vertical offset within ± 0.36 for each point, so that points of a like value lie apart.

    Points are binned by value and fanned out within a bin, alternately up and down; no randomness, so the page is the
    same in every run.
    """
    finite = np.where(np.isfinite(column), column, 0.0)
    width = max(float(np.ptp(finite)) if len(finite) else 0.0, 1e-12) / 60.0
    cell = np.floor(finite / width).astype(np.int64)
    offset = np.zeros(len(column))
    for value in np.unique(cell):
        at = np.flatnonzero(cell == value)
        step = (np.arange(len(at)) + 1) // 2 * np.where(np.arange(len(at)) % 2, 1.0, -1.0)
        offset[at] = step * min(0.05, 0.72 / max(len(at), 1))
    return offset
