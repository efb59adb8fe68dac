"""A run's figures beside those that others reached under the same protocol."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_repo.errors import SourceDataError
from training.evaluation.ceiling import CEILING_FILE, REACHED, read_ceiling, share_of_reachable
from training.evaluation.metrics import probability_metrics
from training.evaluation.predictions import Predictions
from training.pipelines.folds import FOLDS
from training.pipelines.whole_training import judged_metrics
from training.settings import Settings
from training.tasks import task_named
from training.tasks.published import Reference, references_for

__all__ = ["MEASURES", "REACHED", "Figure", "Table", "figures_of"]

MEASURES = ("roc_auc", "pr_auc", "log_loss", "ece")


@dataclass(frozen=True)
class Figure:
    """One line: who, on what kind of line (`ours`, `ceiling`, `reference`), and its measures, None if not told."""

    who: str
    kind: str
    measures: dict[str, float | None]


@dataclass(frozen=True)
class Table:
    """The figures of one protocol: `rows` of the test, their share of positives, lines; what does not compare."""

    protocol: str
    rows: int
    base_rate: float
    figures: tuple[Figure, ...]
    elsewhere: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the table as JSON-able data."""
        return {**self.__dict__, "figures": [figure.__dict__ for figure in self.figures]}


def figures_of(settings: Settings, out: Path) -> list[Table]:
    """Return the tables of a run: out of time, and over folds where the task has them.

    Raises:
        SourceDataError: the run was not evaluated, or was trained anew since.
    """
    metrics = judged_metrics(out)
    adapter = str(metrics["data"].get("adapter", settings.data.adapter))
    known = references_for(settings.task.name, adapter)
    test = metrics["splits"]["test"]
    question = task_named(settings.task.name).question(settings)
    ours = {name: {measure: values[measure] for measure in MEASURES} for name, values in metrics["test"].items()}
    best = _ceiling(out, ours, metrics["splits"]["train"]["base_rate"]) if (out / CEILING_FILE).exists() else ()
    tables = [_table(f"{question} Out of time.", test["anchors"], test["base_rate"], ours, known, best)]
    if (out / FOLDS).exists():
        folds = json.loads((out / FOLDS).read_text())
        means = {name: {m: found[m]["mean"] for m in MEASURES} for name, found in folds["members"].items()}
        tables.append(_table(f"{question} {folds['folds']} folds.", folds["rows"], folds["base_rate"], means, known))
    return tables


def _ceiling(out: Path, ours: dict[str, dict[str, Any]], constant: float) -> tuple[Figure, ...]:
    """Add to each of `ours` what it reached of a simulated shop's best, and return the lines of the best.

    Raises:
        SourceDataError: the ceiling is of another simulation than the log, or of other anchors.
    """
    _require_same_shop(out)
    tested = Predictions.read(out / "test_predictions.parquet")
    known = read_ceiling(out / CEILING_FILE, tested.user_id.tolist(), tested.anchor_us)
    for name, values in ours.items():
        values[REACHED] = share_of_reachable(tested.label, tested.probability[name], constant, known.best)
    lines = []
    measures: dict[str, float | None]
    for who, truth in (("best reachable", known.best), ("given the hidden state", known.hidden)):
        found = probability_metrics(tested.label, truth)
        measures = {measure: found[measure] for measure in MEASURES}
        measures[REACHED] = share_of_reachable(tested.label, truth, constant, known.best)
        lines.append(Figure(who, "ceiling", measures))
    return tuple(lines)


def _require_same_shop(out: Path) -> None:
    told = json.loads((out / CEILING_FILE.parent / "simulation.json").read_text())
    card = json.loads((out / "data_card.json").read_text())
    shop = f"parameters {told['parameters_sha256'][:12]}, seed {told['size']['seed']}"
    if not str(card["source"]).endswith(shop) or card["events"] != told["counts"]["events"]:
        raise SourceDataError(
            f"The ceiling below {out / CEILING_FILE.parent} is of a shop with {shop}; the log is of {card['source']!r} "
            f"with {card['events']:,} events; expected one shop. Run `intent ingest` on this simulation."
        )


def _table(
    protocol: str,
    rows: int,
    base_rate: float,
    ours: dict[str, dict[str, Any]],
    known: list[Reference],
    best: tuple[Figure, ...] = (),
) -> Table:
    same = [reference for reference in known if reference.test_rows == rows]
    lines = [*(Figure(name, "ours", values) for name, values in ours.items()), *best]
    lines += [
        Figure(one.model, "reference", {measure: getattr(one, measure, None) for measure in MEASURES}) for one in same
    ]
    others = sorted({f"{one.protocol} ({one.test_rows:,} rows)" for one in known if one.test_rows != rows})
    return Table(protocol, rows, base_rate, tuple(lines), tuple(others) if not same else ())
