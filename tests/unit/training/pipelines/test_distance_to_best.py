import numpy as np
import pyarrow as pa
import pytest

from feature_repo.errors import SourceDataError
from feature_repo.events import TIMESTAMP
from tests.judged_runs import write_metrics
from training.atomic import write_parquet
from training.evaluation.predictions import Predictions
from training.pipelines.compare import compare_folders
from training.pipelines.distance_to_best import distance_to_best, reachable_of


def simulated(n=4000, seed=1):
    random = np.random.default_rng(seed)
    best = random.beta(1, 4, n)
    label = (random.random(n) < best).astype(np.int8)
    users = np.array([f"u{number}" for number in range(n)], object)
    members = {"flat": np.full(n, 0.2), "best": best, "half": (best + 0.2) / 2, "ensemble": best}
    return Predictions(users, np.arange(n, dtype=np.int64), label, members), best


def write_ceiling(out, predictions, best):
    (out / "simulation").mkdir()
    at = pa.array(predictions.anchor_us, pa.int64()).cast(TIMESTAMP)
    columns = {"user_id": pa.array(predictions.user_id, pa.string()), "event_timestamp": at}
    table = pa.table({**columns, "probability": best, "probability_given_state": best})
    write_parquet(out / "simulation" / "ceiling.parquet", table)


def test_a_constant_took_nothing_and_the_truth_all(tmp_path):
    predictions, best = simulated()
    write_ceiling(tmp_path, predictions.take(np.arange(len(best))[::-1]), best[::-1])
    found = distance_to_best(predictions, reachable_of(tmp_path, predictions, 0.2))
    assert found["share"]["flat"] == pytest.approx(0)
    assert found["share"]["best"] == found["share"]["ensemble"] == pytest.approx(1)
    assert 0.5 < found["share"]["half"] < 1
    assert found["best"] < found["constant"]


def test_runs_are_compared_by_the_share_that_they_reached(tmp_path):
    predictions, best = simulated()
    write_ceiling(tmp_path, predictions, best)
    write_parquet(tmp_path / "test_predictions.parquet", predictions.to_table())
    write_metrics(tmp_path, seed=3, splits={"train": {"base_rate": 0.2}})
    alone = distance_to_best(predictions, reachable_of(tmp_path, predictions, 0.2))["share"]
    (found,) = compare_folders([tmp_path], metrics=["reached"])
    assert {who: row["reached"].mean for who, row in found.spreads.items()} == pytest.approx(alone)
    half = next(pair for pair in found.pairs if pair.first == "half").differences["reached"]
    assert half.estimate == pytest.approx(alone["half"] - 1)
    assert half.interval.low < half.estimate < half.interval.high < 0
    assert half.verdict == "behind"


def test_a_real_shop_has_no_ceiling(tmp_path):
    predictions, _ = simulated()
    assert distance_to_best(predictions, reachable_of(tmp_path, predictions, 0.2)) == {}


def test_a_ceiling_of_other_anchors_is_refused(tmp_path):
    predictions, best = simulated()
    write_ceiling(tmp_path, predictions.take(np.arange(10)), best[:10])
    with pytest.raises(SourceDataError, match="other anchors"):
        reachable_of(tmp_path, predictions, 0.2)
