import numpy as np
import pytest
from sklearn.metrics import auc, precision_recall_curve, roc_curve

from training.evaluation.curves import PLOT_POINTS, curves_of, member_curves, thinned
from training.evaluation.metrics import probability_metrics


def test_roc_passes_through_scikit_learns_points(predictions):
    scores = predictions.probability["ensemble"]
    found = member_curves(predictions.label, scores).roc
    false_alarms, recall, _ = roc_curve(predictions.label, scores, drop_intermediate=False)
    assert {*zip(found.x.round(9), found.y.round(9), strict=True)} <= {
        *zip(false_alarms.round(9), recall.round(9), strict=True)
    }
    expected = probability_metrics(predictions.label, scores)["roc_auc"]
    assert auc(found.x, found.y) == pytest.approx(expected, abs=1e-3)


def test_pr_passes_through_scikit_learns_points(predictions):
    scores = predictions.probability["sharp"]
    found = member_curves(predictions.label, scores).pr
    precision, recall, _ = precision_recall_curve(predictions.label, scores)
    known = {*zip(recall.round(9), precision.round(9), strict=True)}
    assert {*zip(found.x[1:].round(9), found.y[1:].round(9), strict=True)} <= known


def test_gain_starts_at_nobody_and_ends_at_everybody(predictions):
    for curves in curves_of(predictions).values():
        assert (curves.gain.x[0], curves.gain.y[0]) == (0.0, 0.0)
        assert (curves.gain.x[-1], curves.gain.y[-1]) == (1.0, 1.0)
        assert np.all(np.diff(curves.gain.y) >= 0)


def test_reliability_holds_every_row_and_its_interval_the_share(predictions):
    for curves in curves_of(predictions).values():
        found = curves.reliability
        assert found.count.sum() == len(predictions.label)
        assert np.all((found.low <= found.observed) & (found.observed <= found.high))
    assert len(curves_of(predictions)["constant"].reliability.count) == 1


def test_histogram_counts_each_class(predictions):
    found = member_curves(predictions.label, predictions.probability["sharp"]).histogram
    assert found.positives.sum() == predictions.label.sum()
    assert found.negatives.sum() + found.positives.sum() == len(predictions.label)


def test_thinning_keeps_the_ends_and_drops_what_is_not_finite():
    x = np.linspace(0, 1, 5000)
    found = thinned(x, x**2)
    assert len(found.x) <= PLOT_POINTS + 2
    assert (found.x[0], found.x[-1]) == (0.0, 1.0)
    assert len(thinned(np.array([0.0, np.nan, 1.0]), np.array([0.0, 0.5, 1.0])).x) == 2


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_roc_but_does_not_fail(label):
    found = member_curves(np.full(9, label, np.int8), np.linspace(0, 1, 9))
    assert len(found.roc.x) == 0
    assert found.reliability.count.sum() == 9
