"""The best reachable probability of every anchor of a task: what an observer with the true parameters would say.

`probability` rests on every event before t and on nothing else: it is the conditional probability of the label, and
no model can have a lower log loss in expectation. `probability_given_state` also knows the hidden class, state and kind
of session, which no model can: it says how much chance is left in the shop itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_repo.errors import SettingsError
from feature_repo.events import TIMESTAMP
from training.dataset.anchor_rules import CustomerRule
from training.dataset.anchor_sessions import PREFIX, SessionRule
from training.dataset.anchors import anchor_dates
from training.dataset.time_splits import microseconds, plan_splits
from training.settings import Settings
from training.simulator.block import Block
from training.simulator.chances import Chances
from training.simulator.days import Asked, Day
from training.simulator.parameters import TYPES
from training.tasks import task_named

__all__ = ["CEILING_SCHEMA", "Question", "question_of"]

DAY_US = 86_400_000_000
CEILING_SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.string()),
        pa.field("event_timestamp", TIMESTAMP),
        pa.field(PREFIX, pa.int64()),
        pa.field("probability", pa.float64()),
        pa.field("probability_given_state", pa.float64()),
    ]
)
"""One row an anchor; `session_prefix` is null where the task asks at dates."""


@dataclass(frozen=True, eq=False)
class Question:
    """What a task asks of the simulated shop: `days` of the anchors, the horizon, and which types the label is about.

    `absent` turns the label round. Without days and prefixes nothing is asked, and there is no ceiling.
    """

    begin_us: int
    days: tuple[int, ...] = ()
    horizon: int = 0
    types: frozenset[int] = field(default_factory=frozenset)
    absent: bool = False
    prefixes: tuple[int, ...] = ()
    known_by_purchase: bool = True

    @property
    def has_ceiling(self) -> bool:
        """Whether probabilities can be told."""
        return bool(self.days or self.prefixes)

    def asked(self, chances: Chances) -> Asked:
        """Return what the observer has to answer."""
        types = set(self.types)
        quiet = {day: chances.quiet(day, self.horizon, types) for day in self.days}
        return Asked(quiet, self.prefixes, chances.rest_without(types) if self.prefixes else None)

    def answers(self, block: Block) -> Iterator[pa.Table]:
        """Yield the probabilities of a block's anchors, in the columns of `CEILING_SCHEMA`."""
        names = np.array(block.customers.names, object)
        known = np.zeros(len(names), np.bool_)
        sessions = 0
        for day in block.days:
            if day.best is not None and day.hidden is not None:
                at = np.full(int(known.sum()), self.begin_us + day.number * DAY_US)
                yield self._table(names[known], at, None, day.best[known], day.hidden[known])
            yield from self._in_sessions(block, day, names, sessions)
            known[day.visitor[day.sessions.bought] if self.known_by_purchase else day.visitor] = True
            sessions += len(day.visitor)

    def _in_sessions(self, block: Block, day: Day, names: NDArray[np.object_], sessions: int) -> Iterator[pa.Table]:
        for found in day.prefixes:
            place = block.rows.first[sessions + found.session] + found.position - 1
            at = self.begin_us + block.rows.second[place] * 1_000_000
            yield self._table(names[day.visitor[found.session]], at, found.position, found.best, found.hidden)

    def _table(
        self,
        names: NDArray[np.object_],
        at_us: NDArray[np.int64],
        prefix: int | None,
        best: NDArray[np.float64],
        hidden: NDArray[np.float64],
    ) -> pa.Table:
        if self.absent:
            best, hidden = 1 - best, 1 - hidden
        prefixes = pa.nulls(len(names), pa.int64()) if prefix is None else pa.repeat(prefix, len(names))
        columns = [pa.array(names, pa.string()), pa.array(at_us).cast(TIMESTAMP), prefixes, best, hidden]
        return pa.Table.from_arrays([pa.array(column) for column in columns], schema=CEILING_SCHEMA)


def question_of(settings: Settings, begin: datetime) -> Question:
    """Return what the task of `settings` asks of a shop whose log begins at `begin`.

    Raises:
        SettingsError: its anchors are not at midnights in UTC or its horizon is not whole days, while the shop lives
            from day to day.
        SplitError: a split is left without an anchor date.
    """
    task = task_named(settings.task.name)
    begin_us = microseconds(begin)
    if isinstance(task.rule, SessionRule):
        types = frozenset({TYPES.index(task.rule.label)})
        return Question(begin_us, types=types, prefixes=settings.task.prefixes)
    if not isinstance(task.rule, CustomerRule):
        return Question(begin_us)  # who will buy a certain item: not told
    plan = plan_splits(anchor_dates(settings.anchors, settings.log_end), settings)
    since = [microseconds(at) - begin_us for _, at in plan.pairs()]
    horizon = settings.task.days
    if horizon != int(horizon) or any(at % DAY_US or at < 0 for at in since):
        raise SettingsError(
            f"The simulated shop lives from midnight to midnight in UTC; got a horizon of {horizon:g} days and anchors "
            f"in {settings.anchors.timezone} from {settings.anchors.first} on, the log beginning at {begin:%Y-%m-%d}; "
            "expected whole days, [anchors] timezone UTC, and anchors after the beginning. Change the settings."
        )
    label = task.rule.label
    types = frozenset(range(len(TYPES)) if label is None else {TYPES.index(label)})
    days = tuple(at // DAY_US for at in since)
    by_purchase = settings.anchors.known_by == "purchase"
    return Question(begin_us, days, int(horizon), types, task.rule.absent, (), by_purchase)
