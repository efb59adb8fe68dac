"""Score every customer at a moment: the offline join gives the features, the service's own scorer the probabilities."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from feature_repo.errors import SourceDataError
from feature_repo.transforms.columns import columns_of
from services.scoring import Scorer
from training.dataset.anchors import customers_at, open_log
from training.dataset.point_in_time import join_features
from training.packaging.bundle import Bundle
from training.pipelines.feature_store import open_store, require_current_features
from training.pipelines.publish import bundle_path
from training.progress import Progress
from training.settings import Settings

__all__ = ["score_everyone"]

_CUSTOMERS_AT_ONCE = 20_000


def score_everyone(settings: Settings, run: Path, at: datetime, progress: Progress) -> pa.Table:
    """Return `user_id`, `at`, `p_ensemble` and `p_<member>` for every customer who bought before `at`.

    Raises:
        SourceDataError: nobody bought before `at`.
        BundleError: the run has no whole bundle.
    """
    require_current_features(run)
    scorer = Scorer(Bundle.load(bundle_path(run)), threads=2)
    with open_log(run) as log:
        anchors = customers_at(log, at, settings).drop_columns(["label"])
    if anchors.num_rows == 0:
        raise SourceDataError(
            f"Nobody bought before {at:%Y-%m-%d %H:%M} UTC; expected at least one customer. Choose a later --at."
        )
    store, parts = open_store(run), []
    with progress.task("scoring", anchors.num_rows, "customers") as task:
        for first in range(0, anchors.num_rows, _CUSTOMERS_AT_ONCE):
            part = anchors.slice(first, _CUSTOMERS_AT_ONCE)
            parts.append(_scored(scorer, join_features(store, scorer.making.service, part)))
            task.advance(part.num_rows)
    return pa.concat_tables(parts)


def _scored(scorer: Scorer, joined: pa.Table) -> pa.Table:
    columns = columns_of(joined)
    user_id, at_us = columns.pop("user_id"), columns.pop("event_timestamp").astype(np.int64)
    scores = scorer.score(columns, at_us)
    return pa.table(
        {
            "user_id": pa.array(user_id, pa.string()),
            "at": joined["event_timestamp"],
            "p_ensemble": scores.probability,
            **{f"p_{name}": values for name, values in scores.members.items()},
        }
    )
