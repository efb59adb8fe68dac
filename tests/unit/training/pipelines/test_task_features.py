"""All splits of a run are in memory, or none: what is on disk would be read into memory beside one that is not."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.pipelines import task_features
from training.pipelines.task_features import calendar_of, examples_of_split
from training.settings import Settings

SETTINGS = Settings.load(Path(__file__).parents[4] / "intent.toml")
SPLITS = {"train": 900, "validation": 20, "test": 20}
STEPS = 20


@pytest.fixture
def out(tmp_path):
    """Baskets that repeat one number: next to nothing in a file, and as much as any in memory."""
    for split, rows in SPLITS.items():
        (tmp_path / "dataset" / split).mkdir(parents=True)
        offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * STEPS)
        lists = pa.ListArray.from_arrays(offsets, pa.array(np.ones(rows * STEPS)))
        at = pa.array(np.full(rows, 10**15), pa.timestamp("us", tz="UTC"))
        users = [f"u{row}" for row in range(rows)]
        table = pa.table({"user_id": users, "event_timestamp": at, "label": [0] * rows, "brands": lists})
        pq.write_table(table, tmp_path / "dataset" / split / "part.parquet")
    (tmp_path / "dataset" / "manifest.json").write_text(json.dumps({"service": "purchase_within_horizon"}))
    return tmp_path


@pytest.mark.parametrize(("most", "stored"), [(8 * 940 * STEPS, True), (2**20, False)])
def test_the_whole_data_set_decides_for_each_split(out, monkeypatch, most, stored):
    monkeypatch.setattr(task_features, "MEMORY_BYTES", most)
    found = {split: examples_of_split(SETTINGS, out, split) for split in SPLITS}
    assert {split: len(examples) for split, examples in found.items()} == SPLITS
    assert [examples.stored for examples in found.values()] == [stored] * len(SPLITS)


@pytest.mark.parametrize(("first", "seasons"), [("2022-11-28", True), ("2022-12-05", False)])
def test_seasons_count_if_the_training_period_covers_a_year(first, seasons):
    changed = {
        "anchors": {"every": "monday", "first": first, "timezone": "Europe/Berlin"},
        "splits": {"train_until": "2023-12-04", "validation_until": "2024-01-15", "log_end": "2024-03-04"},
        "features": {"holidays": ["2023-12-25"]},
    }
    calendar = calendar_of(Settings.model_validate(SETTINGS.model_dump() | changed))
    assert (calendar.zone, calendar.holidays, calendar.seasons) == ("Europe/Berlin", ("2023-12-25",), seasons)
