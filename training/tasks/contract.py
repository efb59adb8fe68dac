"""What a task is: who is asked about and when, what the label is, which features may answer, and how that is judged.

To add one, put a module with a `TASK` into this folder: it is found by its name, and the suite in
`tests/contract/test_tasks.py` covers it.
"""

from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import SettingsError
from training.dataset.anchor_chunks import AnchorChunks, RuleAnchors
from training.dataset.anchor_rules import DatedRule
from training.dataset.anchor_sessions import SessionAnchors, SessionRule
from training.dataset.anchor_table import TableRule
from training.dataset.time_splits import microseconds, moment
from training.settings import Settings, midnight

__all__ = ["Task"]

# Keys of [task] and [anchors] that only some tasks take; the rest belongs to all.
_OPTIONAL = ("horizon_days", "horizon_hours", "prefixes", "lookback_days", "paid_only", "known_by")


@dataclass(frozen=True)
class Task:
    """One question.

    Attributes:
        name: of its module.
        asks: the question, with `{horizon}` where the horizon belongs.
        label: what 1 means, in one sentence.
        entities: the keys of an anchor.
        rule: anchors and labels; a `DatedRule` asks at dates that all share, a `SessionRule` inside sessions, a
            `TableRule` takes the rows of a benchmark table.
        service: the feature service that answers, unless the settings name another.
        takes: which of the optional keys of [task] and [anchors] it takes.
        core_features: the few numbers that a baseline rests on, the strongest first.
        servable: whether the scoring service can answer it.
        slices: column of the anchors → title of the slices by it, beside those of customers.
    """

    name: str
    asks: str
    label: str
    rule: DatedRule | SessionRule | TableRule
    service: str
    takes: tuple[str, ...]
    entities: tuple[str, ...] = ("user_id",)
    core_features: tuple[str, ...] = ("recency_days", "lifetime_baskets", "revenue_per_basket", "tenure_days")
    servable: bool = False
    slices: tuple[tuple[str, str], ...] = ()

    def check(self, settings: Settings) -> None:
        """Refuse settings that this task cannot work with.

        Raises:
            SettingsError: a key is set that the task does not take, or one is missing.
        """
        changed = {
            **settings.task.model_dump(exclude_defaults=True),
            **settings.anchors.model_dump(exclude_defaults=True),
        }
        strange = [name for name in _OPTIONAL if name in changed and name not in self.takes]
        if strange:
            raise SettingsError(
                f"Task {self.name!r} takes no {', '.join(strange)}; expected, of the optional keys, only "
                f"{', '.join(self.takes) or 'none'}. Remove it, or choose another task."
            )
        self._check_horizon(settings)
        if isinstance(self.rule, SessionRule):
            self._check_prefixes(settings)
        elif not self.of_table and (settings.anchors.every is None or settings.anchors.first is None):
            raise SettingsError(
                f"Task {self.name!r} asks at dates, and [anchors] has no `every` or no `first`; expected both, such as "
                'every = "monday" and first = 2001-01-01. Add them.'
            )

    def anchors(self, log: Path, settings: Settings, chunk_rows: int) -> AnchorChunks:
        """Return the anchors of the run's log as chunks of at most `chunk_rows`."""
        if isinstance(self.rule, SessionRule):
            return SessionAnchors(log, settings, chunk_rows, self.rule)
        if isinstance(self.rule, TableRule):
            raise SettingsError(f"Task {self.name!r} takes a table, not a log; expected its rows as they are.")
        return RuleAnchors(log, settings, chunk_rows, self.rule)

    @property
    def of_table(self) -> bool:
        """Whether it asks about the rows of a benchmark table, which has no log."""
        return isinstance(self.rule, TableRule)

    @property
    def in_sessions(self) -> bool:
        """Whether it asks inside sessions."""
        return isinstance(self.rule, SessionRule)

    def question(self, settings: Settings) -> str:
        """Return the question as a person would ask it."""
        hours = settings.task.horizon_hours
        return self.asks.format(horizon=f"{hours} hours" if hours else f"{settings.task.days:g} days")

    def dates(self, at_us: NDArray[np.int64], settings: Settings) -> NDArray[np.int64]:
        """Return each anchor's date, int64 microseconds since 1970: anchors of one date share its level of demand.

        Anchors at dates are their own; a moment in a session belongs to its day in the anchors' time zone.
        """
        if not isinstance(self.rule, SessionRule):
            return at_us
        zone = settings.anchors.timezone
        hours, place = np.unique(at_us // 900_000_000, return_inverse=True)  # zones differ by quarters of an hour
        days = (moment(int(hour) * 900_000_000).astimezone(ZoneInfo(zone)).date() for hour in hours)
        starts: NDArray[np.int64] = np.array([microseconds(midnight(day, zone)) for day in days], np.int64)
        return starts[place]

    def _check_horizon(self, settings: Settings) -> None:
        given = [name for name in ("horizon_days", "horizon_hours") if getattr(settings.task, name) is not None]
        if "horizon_days" in self.takes and len(given) != 1:
            raise SettingsError(
                f"Task {self.name!r} needs a horizon; got {' and '.join(given) or 'none'} in [task]; expected "
                "horizon_days or horizon_hours. Set one of the two."
            )

    def _check_prefixes(self, settings: Settings) -> None:
        prefixes = settings.task.prefixes
        if not prefixes or len(set(prefixes)) < len(prefixes):
            raise SettingsError(f"[task] prefixes are {list(prefixes)}; expected different numbers of events, from 1.")
        if settings.anchors.every is not None:
            raise SettingsError(
                f"Task {self.name!r} asks inside sessions, not at dates; got [anchors] every = "
                f"{settings.anchors.every!r}. Remove it."
            )
