import json

import numpy as np
import pytest

from feature_repo.errors import SplitError
from training.atomic import write_json, write_parquet
from training.evaluation.evaluate import evaluate, recompute
from training.evaluation.metrics import METRICS, probability_metrics
from training.evaluation.predictions import Predictions


@pytest.fixture(scope="module")
def evaluation(predictions):
    return evaluate(predictions, seed=5, draws=200)


def test_json_has_the_published_names(evaluation):
    record = evaluation.to_metrics_json()
    assert list(record) == ["test", "paired"]
    assert list(record["test"]) == ["sharp", "blunt", "constant", "ensemble"]
    assert {"roc_auc", "pr_auc", "log_loss", "brier", "ece", "roc_auc_ci"} <= set(record["test"]["ensemble"])
    paired = record["paired"]["ensemble_minus_best_member"]
    assert {"member", "delta_roc_auc", "ci", "delta_log_loss", "delta_log_loss_ci"} <= set(paired)


def test_points_are_the_metrics_of_the_whole_sample(evaluation, predictions):
    for member, scores in predictions.probability.items():
        assert evaluation.metrics[member] == probability_metrics(predictions.label, scores)


def test_an_interval_holds_its_estimate(evaluation):
    for member, values in evaluation.metrics.items():
        for metric in set(METRICS) - {"ece"}:
            interval = evaluation.intervals[member][metric]
            assert interval.low <= values[metric] <= interval.high, (member, metric)


def test_best_member_has_the_highest_roc_auc(evaluation):
    paired = evaluation.paired
    assert paired.member == "sharp"
    expected = evaluation.metrics["ensemble"]["roc_auc"] - evaluation.metrics["sharp"]["roc_auc"]
    assert paired.differences["roc_auc"].estimate == expected


def test_recomputes_to_the_same_numbers_from_the_file_alone(evaluation, predictions, tmp_path):
    write_parquet(tmp_path / "p.parquet", predictions.to_table())
    write_json(tmp_path / "m.json", evaluation.to_metrics_json())
    again = recompute(tmp_path / "p.parquet", seed=5, draws=200)
    assert again == json.loads((tmp_path / "m.json").read_text())


def test_the_order_of_rows_does_not_matter(evaluation, predictions):
    shuffled = predictions.take(np.random.default_rng(0).permutation(len(predictions.label)))
    again = evaluate(shuffled, seed=5, draws=200)
    for member in evaluation.metrics:
        assert again.metrics[member] == pytest.approx(evaluation.metrics[member], abs=1e-12)
        assert again.intervals[member]["roc_auc"] == evaluation.intervals[member]["roc_auc"]


def test_without_an_ensemble_nothing_is_paired(predictions):
    alone = Predictions(
        predictions.user_id, predictions.anchor_us, predictions.label, {"m": predictions.probability["sharp"]}
    )
    found = evaluate(alone, seed=0, draws=5)
    assert found.paired is None
    assert found.to_metrics_json()["paired"] == {}


def test_slices_are_for_the_ensemble_and_its_best_member(evaluation):
    part = evaluation.slices_json()[0]
    assert (part["column"], part["value"]) == ("age group", "20-29")
    assert list(part["metrics"]) == ["ensemble", "sharp"]
    json.dumps(evaluation.slices_json(), allow_nan=False)


def test_one_class_only_is_an_error(predictions):
    with pytest.raises(SplitError, match="got 0 positives"):
        evaluate(predictions.take(predictions.label == 0), seed=0)
