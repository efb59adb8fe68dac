"""The consistency job: every logged answer beside what the offline join gives at the same moment, by feature."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.errors import SourceDataError
from training.consistency.compare import FeatureComparison, compare_columns
from training.consistency.hints import Evidence, Hint, hints_for
from training.consistency.pseudonyms import KnownCustomers
from training.consistency.replay import replay, require_registered
from training.consistency.served_log import LogFacts, ServedRows, read_served, served_parts
from training.progress import Progress

__all__ = ["Consistency", "ViewComparison", "check_consistency"]

_EVIDENCE_ROWS = 200


@dataclass
class ViewComparison:
    """One view: rows compared, rows with any difference, what the service said of its rows, and every feature."""

    rows: int = 0
    differing: int = 0
    status: Counter[str] = field(default_factory=Counter)
    features: dict[str, FeatureComparison] = field(default_factory=dict)
    hints: list[Hint] = field(default_factory=list)


@dataclass
class Consistency:
    """What a log says against the offline store.

    `vectors` counts the answers compared, `differing` those with a difference in any view. A feature passes if its
    share of rows that are not exact is at most `limit`.
    """

    facts: LogFacts
    limit: float
    vectors: int = 0
    differing: int = 0
    first: datetime | None = None
    last: datetime | None = None
    views: dict[str, ViewComparison] = field(default_factory=dict)

    @property
    def failed(self) -> list[str]:
        """`view:feature` of every feature beyond the limit."""
        return [
            f"{name}:{feature}"
            for name, view in self.views.items()
            for feature, found in view.features.items()
            if found.differing > self.limit * found.rows
        ]

    @property
    def agrees(self) -> bool:
        """Whether every feature is within the limit."""
        return not self.failed


def check_consistency(
    folder: Path, store: Any, progress: Progress, limit: float = 0.0, customers: KnownCustomers | None = None
) -> Consistency:
    """Replay the served log below `folder` through a `feast.FeatureStore`, and compare.

    Args:
        folder: where the service wrote its log.
        store: its registry has the definitions that were served; its offline store has the events up to the last t.
        progress: who is told how many answers are compared.
        limit: the largest share of rows of a feature that may differ, from 0 to 1.
        customers: who the pseudonyms of the log stand for; None: it has none.

    Raises:
        SourceDataError: there is no log, it is damaged beyond its ends, or it holds no answer.
        FeatureError: the registry does not have what was served.
        SettingsError: the log has pseudonyms, and they were made under another key than that of `customers`.
    """
    customers = customers or KnownCustomers()
    found, evidence = Consistency(LogFacts(), limit), dict[str, Evidence]()
    with progress.task("replaying", 0, "answers") as task:
        for part in served_parts(folder):
            for rows in read_served(part, found.facts):
                require_registered(store, rows.views)
                _compare(found, evidence, store, replace(rows, asked=customers.revealed(rows)))
                task.advance(rows.asked.num_rows)
    if not found.vectors:
        raise SourceDataError(
            f"The served log below {folder} holds no answer to replay: got {found.facts.parts} parts, "
            f"{found.facts.unanswered} answers given without a store. Let the service answer requests, or raise "
            "INTENT_SERVED_SAMPLE."
        )
    for name, collected in evidence.items():
        found.views[name].hints = hints_for(name, found.views[name].features, collected, store)
    return found


def _compare(found: Consistency, evidence: dict[str, Evidence], store: Any, rows: ServedRows) -> None:
    offline = replay(store, rows.views, rows.asked)
    anywhere = np.zeros(rows.asked.num_rows, np.bool_)
    for name in rows.views:
        differing = _compare_view(found.views.setdefault(name, ViewComparison()), rows, offline[name], name)
        anywhere |= differing
        if differing.any():
            chosen = pa.array(np.flatnonzero(differing)[:_EVIDENCE_ROWS])
            fresh = Evidence(rows.views, rows.asked.take(chosen), rows.values[name].take(chosen))
            evidence.setdefault(name, fresh)
    found.vectors += len(anywhere)
    found.differing += int(anywhere.sum())
    span = pc.min_max(rows.asked["event_timestamp"]).as_py()
    found.first = min(filter(None, (found.first, span["min"])), default=None)
    found.last = max(filter(None, (found.last, span["max"])), default=None)


def _compare_view(view: ViewComparison, rows: ServedRows, offline: pa.Table, name: str) -> Any:
    differing = np.zeros(rows.asked.num_rows, np.bool_)
    for feature, served in zip(rows.views[name].fields, rows.values[name].columns, strict=True):
        found, differs = compare_columns(served, offline[feature])
        view.features.setdefault(feature, FeatureComparison()).add(found)
        differing |= differs
    view.rows += len(differing)
    view.differing += int(differing.sum())
    view.status.update(word for word in rows.status[name].to_pylist() if word is not None)
    return differing
