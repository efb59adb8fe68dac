"""Pack what was trained into a bundle, and the bundle into a bento."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.errors import InputError, SourceDataError
from feature_repo.transforms.columns import columns_of
from feature_repo.transforms.feature_sets import OF_CUSTOMER
from feature_repo.transforms.ragged import Ragged
from training.evaluation.predictions import ENSEMBLE, PREFIX
from training.packaging.bundle import Bundle
from training.packaging.feature_making import OF_CUSTOMERS
from training.packaging.golden import golden_vectors
from training.packaging.publish import Published, publish
from training.packaging.write_bundle import BundleFacts, BundlePart, write_bundle
from training.pipelines.build_dataset import read_split
from training.pipelines.evaluate import LIBRARIES
from training.pipelines.feature_store import SERVICE
from training.pipelines.task_features import calendar_of, service_of
from training.pipelines.whole_training import TEST_SCORES, judged_metrics
from training.required_packages import installed_versions
from training.settings import Settings
from training.tasks import task_named

__all__ = ["bundle_path", "make_bundle", "publish_run", "ranking_path"]

_GOLDEN_ROWS = 32


def bundle_path(out: Path) -> Path:
    """Where a run's bundle lies."""
    return out / "bundle"


def ranking_path(out: Path) -> Path:
    """Where the run lies that ranks items, beside the run about customers whose log it shares."""
    return out / "ranking"


def publish_run(
    settings: Settings, out: Path, key_file: Path | None = None, ranking: Settings | None = None
) -> Published:
    """Write the run's bundle, put it into BentoML's model store, signed by `key_file` if given, and build the bento."""
    make_bundle(settings, out, ranking)
    return publish(bundle_path(out), key_file=key_file)


def make_bundle(settings: Settings, out: Path, ranking: Settings | None = None) -> Bundle:
    """Write `<out>/bundle` from the members, the ensemble, the feature schema and the metrics of the run.

    Args:
        settings: of the run about customers.
        out: its folder.
        ranking: settings of the run in `<out>/ranking`, to be packed too, which answers about a customer and an item.

    Raises:
        SourceDataError: a run was not trained and evaluated yet.
        InputError: the scoring service cannot answer a run's task.
    """
    _require_servable(settings)
    facts = _facts(settings, out)
    if service_of(settings) != SERVICE:
        facts |= {"features": _making(settings)}
    part = _part(out, facts)
    return write_bundle(
        bundle_path(out),
        members=part.members,
        ensemble=part.ensemble,
        features=part.features,
        golden=part.golden,
        facts=BundleFacts(**part.facts),
        item=None if ranking is None else _item_part(ranking, ranking_path(out)),
    )


def _item_part(settings: Settings, out: Path) -> BundlePart:
    service = service_of(settings)
    if service not in OF_CUSTOMER or settings.task.days != int(settings.task.days):
        raise InputError(
            f"Task {settings.task.name!r} over {settings.task.horizon} with the features {service!r} cannot rank "
            f"items; expected one with the features of {sorted(OF_CUSTOMER)} and a horizon of whole days, as "
            "purchase_of_item has."
        )
    how = _making(settings) | {"lookback_days": settings.task.lookback_days}
    return _part(out, _facts(settings, out) | {"task": settings.task.name, "features": how})


def _making(settings: Settings) -> dict[str, Any]:
    return {"service": service_of(settings), "calendar": calendar_of(settings).to_json()}


def _part(out: Path, facts: dict[str, Any]) -> BundlePart:
    ensemble = _json(out, "ensemble.json")
    golden = _golden(out, ensemble["members"])
    return BundlePart(out / "members", ensemble, _json(out, "dataset/features.json"), golden, facts)


def _facts(settings: Settings, out: Path) -> dict[str, Any]:
    manifest, metrics = _json(out, "dataset/manifest.json"), judged_metrics(out)
    return {
        "seed": settings.seed,
        "horizon_days": int(settings.task.days),
        "versions": installed_versions(LIBRARIES),
        "data_fingerprint": manifest["fingerprint"],
        "metrics": {**metrics["test"][ENSEMBLE], "anchors": metrics["splits"]["test"]["anchors"]},
        "data_window": {"from": metrics["splits"]["train"]["from"], "to": metrics["splits"]["test"]["to"]},
    }


def _require_servable(settings: Settings) -> None:
    task, service = task_named(settings.task.name), service_of(settings)
    whole_days = settings.task.days == int(settings.task.days)
    if task.servable and service in OF_CUSTOMERS and whole_days:
        return
    raise InputError(
        f"Task {task.name!r} ({task.question(settings)}) with the features {service!r} cannot be served yet; expected "
        f"a task on customers with the features of {' or '.join(OF_CUSTOMERS)} and a horizon of whole days: "
        "the scoring service answers whether a customer will buy within some days. Evaluate it offline instead."
    )


def _golden(out: Path, members: list[str]) -> dict[str, Any]:
    """Store some anchors of the test period, evenly spaced, with what training computed for them."""
    test, scores = read_split(out, "test"), pq.read_table(out / TEST_SCORES)
    rows = np.linspace(0, test.num_rows - 1, min(_GOLDEN_ROWS, test.num_rows)).astype(np.int64)
    columns = columns_of(test.take(pa.array(rows)).drop_columns(["user_id"]))
    at_us = columns.pop("event_timestamp")
    for name, column in columns.items():
        if isinstance(column, Ragged) and name.endswith("_at"):
            columns[name] = column.with_values(column.values.astype(np.int64))
    taken = scores.take(pa.array(rows))
    return golden_vectors(
        columns,
        at_us,
        taken[f"{PREFIX}{ENSEMBLE}"].to_numpy(),
        {name: taken[f"{PREFIX}{name}"].to_numpy() for name in members},
    )


def _json(out: Path, name: str) -> dict[str, Any]:
    path = out / name
    if not path.exists():
        raise SourceDataError(
            f"No {name} below {out}; expected a run that was trained and evaluated. Run `intent train` and "
            "`intent evaluate` first."
        )
    content: dict[str, Any] = json.loads(path.read_text())
    return content
