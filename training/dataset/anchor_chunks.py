"""Anchors as chunks of bounded size, each within one split: from the named rule of the settings, or from a file."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_repo.errors import SplitError
from training.dataset.anchor_rules import CustomerRule, DatedRule
from training.dataset.anchors import anchor_dates, open_log
from training.dataset.time_splits import SPLITS, SplitPlan, plan_splits
from training.settings import Settings

__all__ = ["AnchorChunks", "Chunk", "RuleAnchors", "require_both_labels"]


@dataclass(frozen=True)
class Chunk:
    """Anchors that are joined and written together, as `<split>/<name>.parquet`.

    `anchors` has `user_id`, perhaps `item_id`, `event_timestamp` (t, µs, UTC), perhaps `label` (int8), and whatever
    else its source brings. A chunk whose `split` is None belongs to no split: it is counted, and not written.
    `label_until_us` says where each anchor's label window ends (int64 microseconds since 1970), if that is not
    t + horizon.
    """

    split: str | None
    name: str
    anchors: pa.Table
    label_until_us: NDArray[np.int64] | None = None


class AnchorChunks(Protocol):
    """Where anchors come from. Every call of `chunks` gives the same chunks, in the same order."""

    @property
    def horizon_us(self) -> int | None:
        """The label's horizon in microseconds; None where nobody said."""

    @property
    def dropped_dates(self) -> tuple[str, ...]:
        """Anchor dates of the rule that belong to no split; a file has none."""

    @property
    def censored(self) -> dict[str, int]:
        """What was cut off, by reason: anchors or events whose label is not wholly known, or that are left out."""

    def chunks(self) -> Iterator[Chunk]:
        """Yield the chunks one after the other, holding one at a time."""

    def check(self, splits: dict[str, tuple[int, int | None]]) -> None:
        """Refuse what was found: split → (anchors, positive labels; None without labels)."""


@dataclass(frozen=True)
class RuleAnchors:
    """What the rule gives at every anchor date of `intent.toml`; one chunk a date, or several.

    Attributes:
        log: the run's folder, with the canonical log.
        settings: dates, horizon, borders.
        chunk_rows: the most anchors in one chunk.
        rule: who is asked about, and what.
    """

    log: Path
    settings: Settings
    chunk_rows: int
    rule: DatedRule = field(default_factory=CustomerRule)

    @property
    def horizon_us(self) -> int:
        """The label's horizon in microseconds."""
        return round(self.settings.task.days * 86_400_000_000)

    @cached_property
    def plan(self) -> SplitPlan:
        """Which dates are in which split.

        Raises:
            SplitError: a split has no date.
        """
        return plan_splits(anchor_dates(self.settings.anchors, self.settings.log_end), self.settings)

    @property
    def dropped_dates(self) -> tuple[str, ...]:
        """Dates whose label window is cut by a border."""
        return tuple(self._day(at) for at in self.plan.dropped)

    @property
    def censored(self) -> dict[str, int]:
        """Customers that the settings leave out; dates whose label window is cut are dropped whole."""
        return {"excluded customers": len(self.settings.anchors.exclude)} if self.settings.anchors.exclude else {}

    def chunks(self) -> Iterator[Chunk]:
        """Yield each date's anchors in order of their keys, dates in order of time, those of no split last.

        Raises:
            SourceDataError: there is no log.
        """
        dates = [*self.plan.pairs(), *((None, at) for at in self.plan.dropped)]
        with open_log(self.log) as log:
            for split, at in dates:
                anchors, day = self.rule.at(log, at, self.settings), self._day(at)
                if anchors.num_rows <= self.chunk_rows:
                    yield Chunk(split, day, anchors)
                    continue
                for number, first in enumerate(range(0, anchors.num_rows, self.chunk_rows)):
                    yield Chunk(split, f"{day}-{number:05d}", anchors.slice(first, self.chunk_rows))

    def check(self, splits: dict[str, tuple[int, int | None]]) -> None:
        """Refuse a split with labels of one class.

        Raises:
            SplitError: nothing could be learnt from it, or measured on it.
        """
        require_both_labels(splits)

    def _day(self, at: datetime) -> str:
        return f"{at.astimezone(ZoneInfo(self.settings.anchors.timezone)):%Y-%m-%d}"


def require_both_labels(splits: dict[str, tuple[int, int | None]]) -> None:
    """Refuse a split without anchors, or with labels of one class; split → (anchors, positive labels).

    Raises:
        SplitError: nothing could be learnt from it, or measured on it.
    """
    for name in SPLITS:
        anchors, positives = splits.get(name, (0, 0))
        if not 0 < (positives or 0) < anchors:
            raise SplitError(
                f"The split {name!r} has {anchors} anchors and {positives} positive labels; expected "
                "both classes. Check that the log covers the dates of [anchors] and [splits] (data_card.md "
                "tells from when to when it goes), or move them."
            )
