"""The model card of a run: what it answers, on what it was trained, how it did, for whom, and what it is not for."""

from collections.abc import Mapping, Sequence
from typing import Any

from training.evaluation.paired import itself
from training.packaging.model_card import NOT_FOR

__all__ = ["run_card", "spread_text"]

_MEASURES = ("roc_auc", "pr_auc", "log_loss", "brier", "ece", "lift_at_10")
_DECIDES = ("threshold", "accuracy", "precision", "recall", "f1", "selection_rate")
_APART = ("roc_auc", "ece", "selection_rate", "recall", "precision")


def run_card(question: str, metrics: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    """Return the card as Markdown; everything in it comes from `metrics.json` and `training.json` of the run.

    The clock is not in it: the same run gives the same card.
    """
    data, splits = metrics.get("data", {}), metrics["splits"]
    title = data.get("title") or data.get("adapter") or "a shop's events"
    lines = [f"# {question}", "", NOT_FOR, "", "## Data", ""]
    lines += [f"* {title}{f', {licence}' if (licence := data.get('licence')) else ''}"]
    lines += [
        f"* {name}: {split['from']} to {split['to']}, {split['anchors']:,} anchors, {_percent(split['base_rate'])}"
        for name, split in splits.items()
    ]
    lines += [f"* odd: {odd}" for odd in data.get("odd", ())]
    lines += ["", "## Members", ""]
    lines += [f"* {name}: weight {weight:.2f}" for name, weight in training.get("weights", {}).items()]
    lines += [f"* {_combined(training)}"]
    lines += [f"* fitted on {'train and validation' if training.get('refitted_on_validation') else 'train alone'}"]
    lines += ["", "## Figures on the test period", "", "95 % intervals by a bootstrap over customers.", ""]
    lines += _table(metrics["test"], _MEASURES)
    lines += _ensemble(metrics)
    lines += _targets(metrics.get("targets", ()))
    lines += _intervals(metrics.get("intervals", {}))
    lines += _seeds(metrics.get("seeds", {}))
    lines += _further(metrics.get("further", {}))
    lines += _fairness(metrics.get("fairness", ()))
    lines += _robustness(metrics.get("robustness", {}))
    return "\n".join([*lines, "", f"Seed {metrics.get('seed')}.", ""])


def _combined(training: Mapping[str, Any]) -> str:
    """Return how the members are combined and recalibrated; where no ways could be compared, it is the plain mean."""
    chosen = [row for row in training.get("candidates", ()) if row["chosen"]]
    way = chosen[0] if chosen else {"combination": "mean", "calibration": "none"}
    return f"combined by {way['combination']}, calibration {way['calibration']}"


def _table(members: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    head = ["| | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
    return head + [
        f"| {member} | " + " | ".join(_shown(values.get(name), values.get(f"{name}_ci")) for name in names) + " |"
        for member, values in members.items()
    ]


def _ensemble(metrics: Mapping[str, Any]) -> list[str]:
    """Return how the ensemble stands to its best member and to regression, and what is required of it."""
    same = itself(metrics["test"])
    lines = ["", f"The ensemble is {same} itself, as it is."] if same is not None else []
    for pair, found in metrics.get("paired", {}).items():
        if found["same"]:
            continue
        best = ", the best member in hindsight" if pair == "ensemble_minus_best_member" else ""
        auc = _apart(found["delta_roc_auc"], found["ci"], found["verdict"])
        loss, ece = (
            _apart(*(found[f"delta_{metric}{part}"] for part in ("", "_ci", "_verdict")))
            for metric in ("log_loss", "ece")
        )
        lines += ["", f"Ensemble minus {found['member']}{best}: roc_auc {auc}; log_loss {loss}; ece {ece}.", ""]
        for one in found["requirements"]:
            lines += [f"* {one['text']}", *([f"  {one['advice']}"] if one.get("advice") else [])]
    return lines


def _targets(targets: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return how many of the targets that are asked were met, and each with its result."""
    if not targets:
        return []
    results = [one["result"] for one in targets if one["result"] != "not asked"]
    notes = (f" ({one['note']})" if one["note"] else "" for one in targets)
    told = dict.fromkeys(f"* {one['text']}{note}" for one, note in zip(targets, notes, strict=True))
    return ["", f"Targets, {results.count('met')} of {len(results)} met:", "", *told]


def _apart(value: float | None, ends: Sequence[float | None], verdict: str) -> str:
    low, high = ends
    if value is None or low is None or high is None:
        return "not defined"
    return f"{value:+.4f} ({low:+.4f} to {high:+.4f}), {verdict}"


def _intervals(found: Mapping[str, Any]) -> list[str]:
    if not found:
        return []
    share, least = _percent(found["coverage"]), _percent(found["expected"])
    held = f"The ensemble's intervals held the rate of buyers for {share} of the anchors ({least} or more expected)."
    return ["", held]


def _further(further: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not further:
        return []
    said = "Each member's threshold has the highest F1 on the validation period."
    return ["", "## Decisions", "", said, "", *_table(further, _DECIDES)]


def _seeds(seeds: Mapping[str, Any]) -> list[str]:
    if not seeds:
        return ["", "One training: how much of a network's figure is its seed's luck is not known."]
    lines = ["", f"Mean and standard deviation over the seeds {', '.join(map(str, seeds['seeds']))}:", ""]
    for names in (_MEASURES, _DECIDES[1:]):  # each seed decides at a threshold of its own
        lines += ["| | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
        for member, figures in seeds["members"].items():
            lines.append(f"| {member} | {' | '.join(spread_text(figures.get(name, {})) for name in names)} |")
        lines.append("")
    return lines[:-1]


def spread_text(found: Mapping[str, Any]) -> str:
    """Return mean and standard deviation of one figure over seeds, as `metrics.json` has them."""
    known = [found.get(name) for name in ("mean", "deviation")]
    return "not defined" if None in known else " ± ".join(f"{value:.4f}" for value in known)


def _fairness(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    if not tables:
        return []
    lines = ["", "## Groups of customers", "", "Largest minus smallest among the groups large enough to judge.", ""]
    lines += ["| | groups | " + " | ".join(_APART) + " |", "| --- | ---: |" + " ---: |" * len(_APART)]
    for table in tables:
        apart = " | ".join(_shown(table["differences"].get(name), None) for name in _APART)
        judged = sum(bool(group["figures"]) for group in table["groups"])
        lines.append(f"| {table['column']} | {judged} of {len(table['groups'])} | {apart} |")
    return lines


def _robustness(robustness: Mapping[str, Any]) -> list[str]:
    if not robustness:
        return []
    lines = ["", "## When the log is damaged", "", f"{robustness['anchors']:,} anchors of a sample of customers.", ""]
    lines += ["| | rows changed | " + " | ".join(_MEASURES) + " |", "| --- | ---: |" + " ---: |" * len(_MEASURES)]
    for row in robustness["variants"]:
        values = " | ".join(_shown(row["ensemble"].get(name), None) for name in _MEASURES)
        lines.append(f"| {row['what']} | {_percent(row['changed'])} | {values} |")
    return lines


def _shown(value: Any, ends: Any) -> str:
    if value is None:
        return "not defined"
    interval = f" ({ends[0]:.4f} to {ends[1]:.4f})" if ends and None not in ends else ""
    return f"{value:.4f}{interval}"


def _percent(value: float | None) -> str:
    return "no labels" if value is None else f"{100 * value:.2f} %"
