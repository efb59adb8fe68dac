import numpy as np
import pytest

from training.evaluation.decisions import further_metrics
from training.evaluation.metrics import probability_metrics
from training.evaluation.predictions import Predictions
from training.evaluation.slices import customer_slices, slice_metrics

DAY = 86_400_000_000


def sliced(predictions, values):
    return Predictions(
        predictions.user_id, predictions.anchor_us, predictions.label, predictions.probability, {"s": values}
    )


def test_slices_partition_the_anchors(predictions):
    parts = slice_metrics(predictions, ("ensemble",), draws=0)
    assert [part.value for part in parts] == ["20-29", "30-39", "not known"]
    assert sum(part.anchors for part in parts) == len(predictions.label)
    assert sum(part.positives for part in parts) == predictions.label.sum()


def test_a_slice_has_the_metrics_of_its_rows(predictions):
    part = slice_metrics(predictions, ("ensemble",), draws=100)[0]
    rows = predictions.slices["age group"] == "20-29"
    expected = probability_metrics(predictions.label[rows], predictions.probability["ensemble"][rows])
    assert part.metrics["ensemble"] == expected
    interval = part.intervals["ensemble"]["roc_auc"]
    assert interval.low < expected["roc_auc"] < interval.high


def test_a_slice_has_the_further_figures_at_the_threshold_of_all(predictions):
    part = slice_metrics(predictions, ("ensemble",), draws=0, thresholds={"ensemble": 0.3})[0]
    rows = predictions.slices["age group"] == "20-29"
    expected = further_metrics(predictions.label[rows], predictions.probability["ensemble"][rows], 0.3)
    assert part.further["ensemble"] == expected
    assert slice_metrics(predictions, ("ensemble",), draws=0)[0].further == {}
    without = slice_metrics(predictions, ("ensemble",), draws=0, thresholds={})[0].further["ensemble"]
    assert np.isnan(without["f1"])
    assert without["gain_at_10"] == expected["gain_at_10"]


def test_a_small_slice_is_too_small_to_say(predictions):
    values = np.full(len(predictions.label), "most", dtype=object)
    values[:60] = "few"
    few, most = slice_metrics(sliced(predictions, values), ("ensemble",), draws=0)
    assert (few.value, few.anchors, few.too_small, few.metrics) == ("few", 60, True, {})
    assert not most.too_small


def test_rare_values_are_pooled_and_come_last(predictions):
    values = np.array([f"v{row % 40:02d}" for row in range(len(predictions.label))], dtype=object)
    values[::50] = None
    parts = slice_metrics(sliced(predictions, values), (), draws=0)
    assert len(parts) == 13
    assert [part.value for part in parts[-2:]] == ["29 others", "not known"]


def test_silence_and_repeat_come_from_the_anchor():
    days = np.array([0.5, 7.0, 7.01, 20.0, 40.0, 80.0, np.nan])
    anchor = np.full(7, 1000 * DAY)
    unknown = np.full(7, None, dtype=object)
    found = customer_slices(
        age_group=unknown,
        area=unknown,
        baskets=np.array([1.0, 2.0, 1.0, 5.0, 1.0, 3.0, np.nan]),
        last_purchase_us=anchor - days * DAY,
        anchor_us=anchor,
    )
    assert found["silent for"].tolist() == [
        "up to 1 week",
        "up to 1 week",
        "1 to 2 weeks",
        "2 to 4 weeks",
        "4 to 8 weeks",
        "over 8 weeks",
        None,
    ]
    assert found["one-time or repeat"].tolist() == [
        "one-time",
        "repeat",
        "one-time",
        "repeat",
        "one-time",
        "repeat",
        None,
    ]


def test_durations_are_listed_by_length(predictions):
    names = np.array(["over 8 weeks", "up to 1 week", "4 to 8 weeks", None], dtype=object)
    values = names[np.arange(len(predictions.label)) % 4]
    parts = slice_metrics(sliced(predictions, values), (), draws=0)
    assert [part.value for part in parts] == ["up to 1 week", "4 to 8 weeks", "over 8 weeks", "not known"]


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_missing_is_not_known(predictions, missing):
    values = np.full(len(predictions.label), missing, dtype=object)
    assert [part.value for part in slice_metrics(sliced(predictions, values), (), draws=0)] == ["not known"]
