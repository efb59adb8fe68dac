"""Counts and base rates of the published protocols, to the row, on the real data where they are.

The files are not part of the repository: INTENT_TEST_DATA names the folder that holds them.
"""

import os
from pathlib import Path

import pytest

from training.adapters import adapters, ingest
from training.progress import Silent
from training.settings import Settings
from training.tasks import task_named
from training.tasks.published import PUBLISHED

EXAMPLES = Path(__file__).parents[2] / "examples"
DATA = os.environ.get("INTENT_TEST_DATA", "")
FILES = {
    "online_retail": "online_retail/online_retail.parquet",
    "taobao_userbehavior": "taobao_userbehavior/UserBehavior.csv",
    "online_shoppers": "online_shoppers/online_shoppers_intention.csv",
}

pytestmark = pytest.mark.skipif(not DATA, reason="INTENT_TEST_DATA is unset: the data sets are not in the repository")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory):
    made: dict[str, Path] = {}

    def of(settings: Settings) -> Path:
        name = settings.data.adapter
        if name not in adapters():
            pytest.skip(f"there is no adapter {name}")
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name) / "run"
            ingest(settings, made[name], path=Path(DATA) / FILES[name], progress=Silent())
        return made[name]

    return of


def counts(settings: Settings, log: Path) -> dict[str, tuple[int, int]]:
    found = {"train": [0, 0], "validation": [0, 0], "test": [0, 0]}
    for chunk in task_named(settings.task.name).anchors(log, settings, 50_000).chunks():
        if chunk.split is not None:
            found[chunk.split][0] += chunk.anchors.num_rows
            found[chunk.split][1] += sum(chunk.anchors["label"].to_pylist())
    return {split: (rows, positives) for split, (rows, positives) in found.items()}


def test_online_retail_14_days(logs) -> None:
    settings = Settings.load(EXAMPLES / "online_retail_14_days.toml")
    found = counts(settings, logs(settings))
    assert {split: rows for split, (rows, _) in found.items()} == {
        "train": 66_092,
        "validation": 17_354,
        "test": 24_010,
    }
    rates = {split: round(100 * positives / rows, 2) for split, (rows, positives) in found.items()}
    assert rates == {"train": 14.45, "validation": 15.11, "test": 18.47}


def test_taobao_session(logs) -> None:
    settings = Settings.load(EXAMPLES / "taobao_session.toml")
    rows, positives = counts(settings, logs(settings))["test"]
    assert rows == 7_896
    assert round(positives / rows, 3) == 0.068


def test_taobao_24_hours(logs) -> None:
    settings = Settings.load(EXAMPLES / "taobao_24_hours.toml")
    rows, positives = counts(settings, logs(settings))["test"]
    assert rows == 1_628
    assert round(positives / rows, 4) == 0.1775


def test_online_shoppers(logs) -> None:
    from training.pipelines.table_dataset import read_table

    settings = Settings.load(EXAMPLES / "online_shoppers.toml")
    table = read_table(task_named("session_intent").rule, logs(settings))
    assert table.num_rows == 12_330
    assert sum(table["label"].to_pylist()) == 1_908


def test_every_reference_names_a_protocol_that_is_tested_here() -> None:
    assert {reference.test_rows for reference in PUBLISHED} == {24_010, 7_896, 1_628, 12_330}
