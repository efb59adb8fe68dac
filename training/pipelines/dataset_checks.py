"""The leak checks of a built data set: what they found goes into its manifest, and a leak stops the build."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.transforms.columns import columns_of
from feature_repo.transforms.customer import customer_features
from feature_repo.transforms.feature_sets import FeatureFunction
from feature_repo.transforms.ragged import Ragged
from training.dataset.anchor_survey import Survey
from training.dataset.examples import require_no_infinity
from training.dataset.leak_labels import require_no_label_means
from training.dataset.leakage_checks import IMPLAUSIBLE_AUC, PAST_MOMENTS, require_past, require_plausible
from training.dataset.service_definition import ServiceDefinition
from training.dataset.time_splits import SPLITS
from training.pipelines.dataset_folder import DatasetFolder
from training.pipelines.leak_probe import probe_for_leaks

__all__ = ["check_for_leaks", "check_part"]

_MOST_ROWS = 50_000


def check_part(part: pa.Table, service: ServiceDefinition) -> None:
    """Refuse a joined chunk in which a feature holds a moment after its anchor.

    Raises:
        FeatureError: the message names the feature.
    """
    moments = [name for name in PAST_MOMENTS if name in service.features]
    if moments:
        columns = columns_of(part.select([*moments, "event_timestamp"]))
        require_past(columns, columns.pop("event_timestamp"))


def check_for_leaks(
    folder: DatasetFolder,
    service: ServiceDefinition,
    found: Survey,
    out: Path,
    horizon_us: int | None,
    seed: int,
    features: FeatureFunction = customer_features,
) -> dict[str, Any]:
    """Look at a single feature's power, and at planted events; return what goes into the manifest.

    Raises:
        FeatureError: a feature has seen the label, or moves with what was not known at its anchor; it is named.
    """
    alone = _single_features(folder, service, found, seed, features)
    probed = 0 if found.probed is None else probe_for_leaks(out, found.probed, seed, service.name, features)
    return {
        "gap_between_splits": {
            "horizon_days": None if horizon_us is None else horizon_us / 86_400_000_000,
            "shortest_days": _shortest_gap_days(found),
            "checked": len(found.splits) > 1 and (horizon_us is not None or _own_ends(found)),
        },
        "moments_after_the_anchor": 0,
        "single_feature": alone,
        "planted_events": {"anchors": probed, "changed": []},
    }


def _single_features(
    folder: DatasetFolder, service: ServiceDefinition, found: Survey, seed: int, features: FeatureFunction
) -> dict[str, Any]:
    """Sample the first labelled split (train, if there is one), a share of each part."""
    split = next((name for name, count in found.splits.items() if name != "test" and count.positives is not None), None)
    result: dict[str, Any] = {"implausible_auc": IMPLAUSIBLE_AUC, "checked": split is not None}
    if split is None:
        return result
    table = _sample(folder.of_split(split), found.splits[split].anchors, (*_keys(service), *service.features), seed)
    columns = columns_of(table)
    label, at_us = columns.pop("label").astype(np.int8), columns.pop("event_timestamp")
    computed = features(columns, at_us)
    require_no_infinity(computed)
    columns = {name: column for name, column in columns.items() if name in service.features}
    auc = require_plausible(columns | _ages(columns, at_us) | computed.numeric, label, seed)
    require_no_label_means(computed.numeric, label, split)
    if not auc:
        return result | {"checked": False, "split": split, "rows": table.num_rows}
    best = max(auc, key=lambda name: abs(auc[name] - 0.5))
    return result | {"split": split, "rows": table.num_rows, "strongest": best, "auc": round(auc[best], 4)}


def _keys(service: ServiceDefinition) -> tuple[str, ...]:
    return tuple(key for key in service.keys if key != "user_id")


def _sample(parts: list[Path], rows: int, features: tuple[str, ...], seed: int) -> pa.Table:
    rng, tables = np.random.default_rng(seed), []
    for part in parts:
        table = pq.read_table(part, columns=[*features, "event_timestamp", "label"])
        taken = min(table.num_rows, -(-table.num_rows * _MOST_ROWS // rows))
        tables.append(table.take(pa.array(np.sort(rng.permutation(table.num_rows)[:taken]))))
    return pa.concat_tables(tables)


def _ages(columns: dict[str, Any], at_us: Any) -> dict[str, Any]:
    """How long before t each moment lies: among several dates only that can give a label away."""
    ages = {}
    for name in (name for name in PAST_MOMENTS if name in columns):
        column = columns[name]
        if isinstance(column, Ragged):
            ages[f"age of {name}"] = column.with_values(np.repeat(at_us, column.lengths) - column.values)
        else:
            ages[f"age of {name}"] = at_us - column
    return ages


def _own_ends(found: Survey) -> bool:
    return all(count.label_until_us is not None for count in found.splits.values())


def _shortest_gap_days(found: Survey) -> float | None:
    ends = [(count.first_us, count.last_us) for name, count in found.splits.items() if name in SPLITS]
    gaps = [later[0] - earlier[1] for earlier, later in pairwise(ends)]
    return round(min(gaps) / 86_400_000_000, 6) if gaps else None
