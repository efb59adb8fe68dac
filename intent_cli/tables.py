"""Figures as text that lines up in a terminal."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from training.evaluation.evaluate import Evaluation
    from training.evaluation.paired import Paired
    from training.evaluation.targets import CheckedTarget
    from training.pipelines.figures import Table
    from training.simulator.distances import Distance

__all__ = [
    "distance_lines",
    "figure_lines",
    "interval_lines",
    "metric_lines",
    "robustness_lines",
    "seed_lines",
    "target_lines",
]


def metric_lines(evaluation: "Evaluation", metrics: "Sequence[str]", members: "Sequence[str]") -> list[str]:
    """One line a member with its metrics on the test period, and how the ensemble stands to its best member.

    A member that the ensemble is, as it is, has the ensemble's line, and one that says so.
    """
    from training.evaluation.paired import itself

    rows = {name: _row(evaluation, metrics, name) for name in members}
    same, once = itself(evaluation.metrics), ""
    if same is not None and rows.get(same) == rows.get("ensemble", ""):
        del rows[same]
        once = ": shown once"
    width = max(len(name) for name in rows)
    lines = ["  " + " " * width + "".join(f"{name:>{_wide(name)}}" for name in metrics) + "   95 % interval of the AUC"]
    lines += [f"  {name:<{width}}{row}" for name, row in rows.items()]
    if same is not None:
        lines.append(f"  the ensemble is {same} itself, as it is{once}")
    for pair in evaluation.pairs:
        lines += _pair_lines(pair)
    return lines


def _row(evaluation: "Evaluation", metrics: "Sequence[str]", name: str) -> str:
    ends = evaluation.intervals[name]["roc_auc"]
    figures = "".join(f"{_value(evaluation, name, metric):{_wide(metric)}.4f}" for metric in metrics)
    return f"{figures}   {ends.low:.4f} to {ends.high:.4f}"


def _pair_lines(pair: "Paired") -> list[str]:
    """The ensemble against one member, and what is required of it; nothing where it is this member."""
    if pair.same:
        return []
    lines = [f"  ensemble minus {pair.member}{', the best member in hindsight' * pair.best}:"]
    for metric in ("roc_auc", "log_loss", "ece"):
        found = pair.differences[metric]
        low, high = found.interval.low, found.interval.high
        lines.append(f"    {metric} {found.estimate:+.4f} ({low:+.4f} to {high:+.4f}), {found.verdict}")
    for one in pair.requirements:
        lines += [f"    {one.text}", *([f"      {one.advice}"] if one.advice else [])]
    return lines


def _wide(metric: str) -> int:
    return max(12, len(metric) + 2)


def _value(evaluation: "Evaluation", member: str, metric: str) -> float:
    if metric in evaluation.metrics[member]:
        return evaluation.metrics[member][metric]
    return evaluation.further[member][metric].value


def target_lines(targets: "Sequence[CheckedTarget]") -> list[str]:
    """How many targets were met of those that are asked of the run, each that was not, and whose are not asked."""
    if not targets:
        return []
    asked = [checked for checked in targets if checked.asked]
    missed = [f"    {checked.text}" for checked in asked if checked.missed]
    others = dict.fromkeys(f"    {checked.text}" for checked in targets if not checked.asked)
    return [f"  targets: {len(asked) - len(missed)} of {len(asked)} met", *missed, *others]


def interval_lines(found: "Mapping[str, Any]") -> list[str]:
    """How often the ensemble's intervals held on the test dates; nothing where it has none."""
    if not found:
        return []
    held = f"  intervals held the rate of buyers for {found['coverage']:.1%} of the anchors"
    least = f"{found['expected']:.1%} or more expected, of {found['dates']} past dates"
    return [f"{held} ({least}), mean width {found['mean_width']:.3f}"]


def seed_lines(found: "Mapping[str, Any]", metrics: "Sequence[str]", out: object) -> list[str]:
    """The ensemble's mean and standard deviation over the seeds; nothing where there is one seed, or no ensemble."""
    spreads = found.get("members", {}).get("ensemble")
    if not spreads:
        return []
    from training.packaging.run_card import spread_text

    told = ", ".join(f"{name} {spread_text(spreads.get(name, {}))}" for name in metrics)
    seeds = ", ".join(map(str, found["seeds"]))
    return [
        f"  ensemble over the seeds {seeds}, mean ± standard deviation (every member's: intent compare {out}):",
        f"    {told}",
    ]


def robustness_lines(found: "Mapping[str, Any]") -> list[str]:
    """One line a damage to the log, the log as it is first: what the ensemble is worth on a sample of customers."""
    names = ("roc_auc", "log_loss", "ece")
    width = max(len(row["what"]) for row in found["variants"])
    head = "".join(f"{name:>14}" for name in ("rows changed", "mean move", *names))
    sample = f"a sample of {found['anchors']:,} anchors of {found['customers']:,} customers"
    lines = [f"  the ensemble on damaged logs, {sample}:", "    " + " " * width + head]
    for row in found["variants"]:
        values = (row["ensemble"].get(name) for name in names)
        told = "".join(f"{'not defined':>14}" if value is None else f"{value:14.4f}" for value in values)
        lines.append(f"    {row['what']:<{width}}{row['changed']:14.1%}{row['mean_move']:14.4f}{told}")
    return lines


def figure_lines(table: "Table") -> list[str]:
    """One line a member, and one for each figure that is known from the same protocol, labelled so."""
    measures = list(table.figures[0].measures)
    width = max(len(f"reference: {figure.who}") for figure in table.figures)
    lines = [f"{table.protocol} {table.rows:,} rows, {table.base_rate:.2%} positive."]
    lines.append("  " + " " * width + "".join(f"{name:>10}" for name in measures))
    for figure in table.figures:
        who = figure.who if figure.kind == "ours" else f"{figure.kind}: {figure.who}"
        told = (f"{value:10.4f}" if value is not None else f"{'':>10}" for value in figure.measures.values())
        lines.append(f"  {who:<{width}}{''.join(told)}".rstrip())
    if any(figure.kind == "reference" for figure in table.figures):
        lines.append("  references: plain scripts under the same protocol, on the same test rows")
    if any(figure.kind == "ceiling" for figure in table.figures):
        lines.append("  synthetic data; reached: share of the way in log loss from the training base rate to the best")
        lines.append("  reachable, which rests on all events before the anchor; the hidden state is out of reach")
    if table.elsewhere:
        lines.append(f"  no reference has these rows; there are some for {', '.join(table.elsewhere)}")
    return lines


def distance_lines(found: "Sequence[Distance]") -> list[str]:
    """One line for each statistic and real data set, and what the distances are."""
    width = max(len(one.what) for one in found)
    lines = [f"  {'':<{width}}  {'data set':<14}{'simulated':>11}{'real':>11}{'distance':>11}"]
    lines += [
        f"  {one.what:<{width}}  {one.data:<14}{one.simulated:11.4f}{one.real:11.4f}{one.distance:11.4f}"
        for one in found
    ]
    lines.append("  distance: of medians, the largest difference of the cumulative shares (Kolmogorov-Smirnov);")
    lines.append("  of types, half the sum of the differences of shares; else the difference")
    return lines
