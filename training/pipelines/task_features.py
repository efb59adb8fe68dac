"""Which feature service a run's task uses, and what makes features of its columns."""

import json
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.transforms.calendar import Calendar
from feature_repo.transforms.feature_sets import feature_function
from training.dataset.examples import Examples
from training.dataset.stored_examples import StoredExamples
from training.models.contract import FitSettings
from training.pipelines.dataset_folder import read_split
from training.pipelines.feature_store import SERVICE
from training.progress import Progress
from training.settings import Settings, midnight
from training.tasks import task_named

__all__ = [
    "MEMORY_BYTES",
    "calendar_of",
    "examples_of",
    "examples_of_split",
    "fit_settings",
    "scratch_path",
    "service_of",
]

MEMORY_BYTES = 2**30
"""A data set whose columns take more than this is fitted from disk. Features take about three times as much.

All splits count, for training holds them side by side, and train and validation end to end; and they count by their
values of eight bytes each: what repeats is a tenth of that in a file, and not in memory.
"""


def scratch_path(out: Path) -> Path:
    """Where a run keeps what memory does not hold in a fit; what a killed one left, the next removes."""
    return out / "scratch"


def fit_settings(settings: Settings, out: Path, seed: int, progress: Progress) -> FitSettings:
    """Return what every member of the run in `out` is told besides the examples; parameters of its own come later."""
    return FitSettings(
        settings.task.days,
        seed,
        progress,
        task_named(settings.task.name).core_features,
        settings.features.impute,
        scratch=scratch_path(out),
    )


def service_of(settings: Settings | None) -> str:
    """Return the feature service that the settings name, or the task's own; customers' where there are none."""
    if settings is None:
        return SERVICE
    return settings.task.features or task_named(settings.task.name).service


def calendar_of(settings: Settings | None) -> Calendar:
    """Return the shop's time zone and holidays; seasons count if the training period covers a year."""
    if settings is None:
        return Calendar()
    first, zone = settings.anchors.first, settings.anchors.timezone
    a_year = first is not None and settings.borders[0] - midnight(first, zone) >= timedelta(days=365)
    return Calendar(zone, tuple(day.isoformat() for day in settings.features.holidays), a_year)


def examples_of(settings: Settings, out: Path, table: pa.Table) -> Examples:
    """Compute the features of a split of the run's data set, by the service that it was built with."""
    built_with = json.loads((out / "dataset" / "manifest.json").read_text())["service"]
    return Examples.from_table(table, feature_function(built_with, calendar_of(settings)))


def examples_of_split(settings: Settings, out: Path, split: str) -> Examples:
    """Return a split of the run's data set, in memory if the whole is small, else read from disk when it is asked for.

    Raises:
        SourceDataError: the data set was not built.
    """
    paths = sorted((out / "dataset" / split).glob("*.parquet"))
    if sum(_bytes(path) for path in (out / "dataset").glob("*/*.parquet")) <= MEMORY_BYTES:
        return examples_of(settings, out, read_split(out, split))
    built_with = json.loads((out / "dataset" / "manifest.json").read_text())["service"]
    return StoredExamples.open(paths, feature_function(built_with, calendar_of(settings)))


def _bytes(path: Path) -> int:
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return 8 * sum(group.column(place).num_values for group in groups for place in range(group.num_columns))
