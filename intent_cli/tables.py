"""Figures as text that lines up in a terminal."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.evaluation.evaluate import Evaluation

__all__ = ["metric_lines"]

_METRICS = ("roc_auc", "pr_auc", "log_loss", "brier", "ece", "lift_at_10")


def metric_lines(evaluation: "Evaluation") -> list[str]:
    """One line a member with its metrics on the test period, and how the ensemble stands to its best member."""
    width = max(len(name) for name in evaluation.metrics)
    lines = ["  " + " " * width + "".join(f"{name:>12}" for name in _METRICS) + "   95 % interval of the AUC"]
    for name, values in evaluation.metrics.items():
        ends = evaluation.intervals[name]["roc_auc"]
        figures = "".join(f"{values[metric]:12.4f}" for metric in _METRICS)
        lines.append(f"  {name:<{width}}{figures}   {ends.low:.4f} to {ends.high:.4f}")
    if evaluation.paired is not None:
        difference = evaluation.paired.differences["roc_auc"]
        lines.append(
            f"  ensemble minus {evaluation.paired.member}: AUC {difference.estimate:+.4f} "
            f"({difference.interval.low:+.4f} to {difference.interval.high:+.4f}), {difference.verdict}"
        )
    return lines
