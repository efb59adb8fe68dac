"""Anchors inside sessions: the moment of a session's k-th event, and whether something follows before it ends.

A session is a customer's events without a pause of 30 minutes or more, the same as in
`feature_repo/transforms/session.py`; every session of k events or more has an anchor at its k-th, whoever buys. The
label looks at (t, the session's last event]: what happens at t itself is known, and no label. Prefixes are split by
their moment; of train and validation those are dropped, and counted, whose session goes on past the border.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.events import TIMESTAMP
from feature_repo.transforms.session import PAUSE_US
from training.dataset.anchor_chunks import Chunk, require_both_labels
from training.dataset.anchors import open_log
from training.dataset.time_splits import SPLITS, microseconds, split_numbers
from training.settings import Settings, midnight

__all__ = ["PREFIX", "SessionAnchors", "SessionRule"]

PREFIX = "session_prefix"
"""The column that says after how many events of the session an anchor is."""

_UNTIL = "label_until"


@dataclass(frozen=True)
class SessionRule:
    """1 if an event of type `label` follows in the same session, else 0."""

    label: str = "purchase"

    def label_events(self) -> str | None:
        """The type of the events that labels are about."""
        return self.label


@dataclass(frozen=True)
class SessionAnchors:
    """The prefixes of all sessions, in order of time.

    Attributes:
        log: the run's folder, with the canonical log.
        settings: prefixes, borders, time zone, customers to leave out.
        chunk_rows: the most anchors in one chunk.
        rule: what the label is about.
    """

    log: Path
    settings: Settings
    chunk_rows: int
    rule: SessionRule = SessionRule()

    @property
    def horizon_us(self) -> None:
        """Every label has its own end."""

    @property
    def dropped_dates(self) -> tuple[str, ...]:
        """None: sessions are dropped one by one."""
        return ()

    @cached_property
    def censored(self) -> dict[str, int]:
        """Prefixes that are left out, and those whose session the end of the log may have cut off."""
        end = microseconds(self.settings.log_end)
        cut = f"label = 0 AND epoch_us({_UNTIL}) + {PAUSE_US} > {end} AND event_timestamp >= $test"
        with open_log(self.log) as log:
            (left_out,) = log.execute(
                "SELECT count(DISTINCT user_id) FROM events WHERE list_contains($exclude::VARCHAR[], user_id)",
                {"exclude": list(self.settings.anchors.exclude)},
            ).fetchall()
            asked = self._asked() | {"test": self.settings.borders[1]}
            (open_ended,) = log.execute(f"SELECT count(*) FROM ({self._query()}) WHERE {cut}", asked).fetchall()
        found = {"excluded customers": left_out[0], "sessions that may go on after the log, labelled 0": open_ended[0]}
        return {reason: count for reason, count in found.items() if count}

    def chunks(self) -> Iterator[Chunk]:
        """Yield the prefixes in order of time, at most `chunk_rows` of one split at a time.

        Raises:
            SourceDataError: there is no log.
        """
        with open_log(self.log) as log:
            query = f"{self._query()} ORDER BY event_timestamp, user_id, {PREFIX}"
            reader = log.sql(query, params=self._asked()).to_arrow_reader(self.chunk_rows)
            for number, batch in enumerate(reader):
                yield from self._by_split(pa.Table.from_batches([batch]), f"part-{number:05d}")

    def check(self, splits: dict[str, tuple[int, int | None]]) -> None:
        """Refuse a split without anchors, or with labels of one class.

        Raises:
            SplitError: nothing could be learnt from it, or measured on it.
        """
        require_both_labels(splits)

    def _by_split(self, rows: pa.Table, name: str) -> Iterator[Chunk]:
        at_us, until_us = (rows[column].cast(TIMESTAMP).cast(pa.int64()).to_numpy() for column in _MOMENTS)
        # The last split has no border behind it: a session that the log's end may cut is kept, and counted.
        numbers = split_numbers(at_us, self.settings, np.where(self._is_test(at_us), at_us, until_us))
        rows = rows.drop_columns([_UNTIL])
        rows = rows.set_column(1, "event_timestamp", pa.array(at_us).cast(TIMESTAMP))
        for number, split in (*enumerate(SPLITS), (-1, None)):
            kept = np.flatnonzero(numbers == number)
            if len(kept):
                yield Chunk(split, name, rows.take(pa.array(kept)), until_us[kept])

    def _is_test(self, at_us: Any) -> Any:
        return at_us >= microseconds(self.settings.borders[1])

    def _asked(self) -> dict[str, Any]:
        first = self.settings.anchors.first
        return {
            "prefixes": list(self.settings.task.prefixes),
            "exclude": list(self.settings.anchors.exclude),
            "first": None if first is None else midnight(first, self.settings.anchors.timezone),
        }

    def _query(self) -> str:
        order = "OVER (PARTITION BY user_id ORDER BY event_timestamp, event_id)"
        within = "OVER (PARTITION BY user_id, session ORDER BY event_timestamp, event_id)"
        whole = "OVER (PARTITION BY user_id, session)"
        return f"""
            SELECT user_id, event_timestamp, coalesce(last_one > event_timestamp, false)::TINYINT AS label,
                {PREFIX}, {_UNTIL}
            FROM (SELECT *, row_number() {within} AS {PREFIX}, max(event_timestamp) {whole} AS {_UNTIL},
                    max(event_timestamp) FILTER (event_type = '{self.rule.label}') {whole} AS last_one
                FROM (SELECT *, count(*) FILTER (pause IS NULL OR pause >= {PAUSE_US}) {order} AS session
                    FROM (SELECT *, epoch_us(event_timestamp) - lag(epoch_us(event_timestamp)) {order} AS pause
                        FROM events WHERE user_id NOT IN (SELECT unnest($exclude::VARCHAR[])))))
            WHERE list_contains($prefixes::BIGINT[], {PREFIX})
                AND event_timestamp >= coalesce($first::TIMESTAMPTZ, '-infinity'::TIMESTAMPTZ)"""


_MOMENTS = ("event_timestamp", _UNTIL)
