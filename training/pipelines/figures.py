"""A run's figures beside those that others reached under the same protocol."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_repo.errors import SourceDataError
from training.pipelines.folds import FOLDS
from training.settings import Settings
from training.tasks import task_named
from training.tasks.published import Reference, references_for

__all__ = ["Figure", "Table", "figures_of"]

MEASURES = ("roc_auc", "pr_auc", "log_loss", "ece")


@dataclass(frozen=True)
class Figure:
    """One line: who, on what kind of line (`ours` or `reference`), and its measures, None where they are not told."""

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
        SourceDataError: the run was not evaluated.
    """
    path = out / "metrics.json"
    if not path.exists():
        raise SourceDataError(f"No figures at {path}; expected an evaluated run. Run `intent evaluate` first.")
    metrics = json.loads(path.read_text())
    adapter = str(metrics["data"].get("adapter", settings.data.adapter))
    known = references_for(settings.task.name, adapter)
    test = metrics["splits"]["test"]
    question = task_named(settings.task.name).question(settings)
    ours = {name: {measure: values[measure] for measure in MEASURES} for name, values in metrics["test"].items()}
    tables = [_table(f"{question} Out of time.", test["anchors"], test["base_rate"], ours, known)]
    if (out / FOLDS).exists():
        folds = json.loads((out / FOLDS).read_text())
        means = {name: {m: found[m]["mean"] for m in MEASURES} for name, found in folds["members"].items()}
        tables.append(_table(f"{question} {folds['folds']} folds.", folds["rows"], folds["base_rate"], means, known))
    return tables


def _table(
    protocol: str, rows: int, base_rate: float, ours: dict[str, dict[str, Any]], known: list[Reference]
) -> Table:
    same = [reference for reference in known if reference.test_rows == rows]
    lines = [Figure(name, "ours", values) for name, values in ours.items()]
    lines += [
        Figure(one.model, "reference", {measure: getattr(one, measure, None) for measure in MEASURES}) for one in same
    ]
    others = sorted({f"{one.protocol} ({one.test_rows:,} rows)" for one in known if one.test_rows != rows})
    return Table(protocol, rows, base_rate, tuple(lines), tuple(others) if not same else ())
