"""Whether the sessions behind a data set were cut by one rule for everybody."""

from pathlib import Path

import numpy as np

from feature_repo.transforms.session import PAUSE_US
from training.dataset.anchors import open_log
from training.dataset.leak_labels import require_same_cut

__all__ = ["check_session_cuts"]

_MOST_ROWS = 20_000
_LAST_PLACE = 20
_USUAL = f"""
    asked AS (
        SELECT user_id, event_timestamp AS asked_at, label FROM read_parquet($parts)
        ORDER BY hash(user_id, asked_at) LIMIT {_MOST_ROWS}
    ),
    moments AS (
        SELECT user_id, event_timestamp AS moment, count(*) AS events, bool_or(event_type = $label) AS told FROM events
        WHERE user_id IN (SELECT user_id FROM asked) GROUP BY ALL
    ),
    begun AS (
        SELECT *, coalesce(epoch_us(moment) - epoch_us(lag(moment) OVER each) >= {PAUSE_US}, true) AS begins
        FROM moments WINDOW each AS (PARTITION BY user_id ORDER BY moment)
    ),
    sessions AS (
        SELECT *, count(*) FILTER (begins) OVER (PARTITION BY user_id ORDER BY moment) AS session FROM begun
    ),
    placed AS (
        SELECT user_id, moment, least(sum(events) OVER each, {_LAST_PLACE}) AS place,
            lead(moment) OVER each IS NOT NULL AS goes_on,
            coalesce(max(moment) FILTER (told) OVER (PARTITION BY user_id, session) > moment, false) AS told_later
        FROM sessions WINDOW each AS (PARTITION BY user_id, session ORDER BY moment)
    ),
    usual AS (SELECT place, avg(goes_on::INTEGER) AS share FROM placed WHERE NOT told_later GROUP BY place)
"""
"""`usual`: by place in the session, how often an event follows where none that labels are about does."""


def check_session_cuts(log: Path, parts: list[Path], label: str) -> int:
    """Look at up to 20,000 anchors of a split, ask the log whether their sessions go on, and return how many.

    Args:
        log: the run's folder, with the canonical log.
        parts: the files of the split, with its labels.
        label: the type of the events that labels are about.

    Raises:
        SplitError: the sessions of those who did not buy were not cut.
    """
    query = f"""
        WITH {_USUAL}
        SELECT label, share AS usual, EXISTS (
            SELECT 1 FROM events WHERE events.user_id = asked.user_id AND event_timestamp > asked_at
                AND event_timestamp < asked_at + INTERVAL {PAUSE_US} MICROSECONDS) AS goes_on
        FROM asked LEFT JOIN placed ON placed.user_id = asked.user_id AND moment = asked_at
            LEFT JOIN usual USING (place)
    """
    with open_log(log) as connection:
        asked = {"parts": [str(part) for part in parts], "label": label}
        found = connection.execute(query, asked).fetchnumpy()
    usual = np.ma.filled(np.ma.asarray(found["usual"], np.float64), np.nan)
    require_same_cut(np.asarray(found["goes_on"], np.bool_), np.asarray(found["label"]), usual)
    return len(found["label"])
