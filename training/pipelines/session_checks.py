"""Whether the sessions behind a data set were cut by one rule for everybody."""

from pathlib import Path

import numpy as np

from feature_repo.transforms.session import PAUSE_US
from training.dataset.anchors import open_log
from training.dataset.leak_labels import require_same_cut

__all__ = ["check_session_cuts"]

_MOST_ROWS = 20_000


def check_session_cuts(log: Path, parts: list[Path]) -> int:
    """Look at up to 20,000 anchors of a split, ask the log whether their sessions go on, and return how many.

    Raises:
        SplitError: the sessions of those who did not buy were not cut.
    """
    query = f"""
        WITH asked AS (
            SELECT user_id, event_timestamp AS asked_at, label FROM read_parquet(?)
            ORDER BY hash(user_id, asked_at) LIMIT {_MOST_ROWS}
        )
        SELECT label, coalesce(epoch_us(follows) - epoch_us(asked_at) < {PAUSE_US}, false) AS goes_on
        FROM (SELECT asked.user_id, asked_at, label, min(event_timestamp) AS follows
            FROM asked LEFT JOIN events ON events.user_id = asked.user_id AND event_timestamp > asked_at
                AND event_timestamp < asked_at + INTERVAL {PAUSE_US} MICROSECONDS
            GROUP BY ALL)
    """
    with open_log(log) as connection:
        found = connection.execute(query, [[str(part) for part in parts]]).fetchnumpy()
    require_same_cut(np.asarray(found["goes_on"], np.bool_), np.asarray(found["label"]))
    return len(found["label"])
