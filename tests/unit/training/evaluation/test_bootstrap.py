import numpy as np
import pytest

from feature_repo.errors import InputError
from training.evaluation.bootstrap import Difference, Interval, draw_counts, resample
from training.evaluation.metrics import METRICS, Ranking, equal_mass_bins, probability_metrics


def test_each_draw_equals_the_metrics_under_its_weights(predictions):
    customer = predictions.customers()
    found = resample(predictions.label, predictions.probability, customer, draws=70, seed=11)
    counts = np.vstack(list(draw_counts(int(customer.max()) + 1, 70, 11)))
    for member, scores in predictions.probability.items():
        bins = equal_mass_bins(Ranking.of(predictions.label, scores))
        for draw in (0, 1, 63, 64, 69):
            weight = counts[draw][customer]
            expected = probability_metrics(predictions.label, scores, weight)
            gaps = np.bincount(bins, weights=weight * (scores - predictions.label))
            expected["ece"] = np.abs(gaps).sum() / weight.sum()  # the bins of the original sample
            assert dict(zip(METRICS, found.draws[member][draw], strict=True)) == pytest.approx(expected, rel=1e-9)


def test_intervals_agree_with_a_resample_by_hand(predictions):
    """Another generator, rows copied customer by customer, ends within the noise of 600 draws."""
    customer = predictions.customers()
    scores = predictions.probability["sharp"]
    rows_of = [np.flatnonzero(customer == number) for number in range(int(customer.max()) + 1)]
    generator = np.random.default_rng(99)
    drawn = []
    for _ in range(600):
        rows = np.concatenate([rows_of[number] for number in generator.integers(0, len(rows_of), len(rows_of))])
        drawn.append(list(probability_metrics(predictions.label[rows], scores[rows]).values()))
    low, high = np.quantile(np.array(drawn), [0.025, 0.975], axis=0)
    found = resample(predictions.label, {"sharp": scores}, customer, draws=2000, seed=1)
    for place, metric in enumerate(METRICS):
        if metric == "ece":
            continue  # by hand the bins move with the draw; ours keep those of the sample
        interval, width = found.interval("sharp", metric), high[place] - low[place]
        assert interval.low == pytest.approx(low[place], abs=0.12 * width), metric
        assert interval.high == pytest.approx(high[place], abs=0.12 * width), metric


def test_customers_are_drawn_not_rows():
    """Ten equal copies of each customer's row carry no more information than one."""
    generator = np.random.default_rng(4)
    scores = generator.random(300)
    label = (generator.random(300) < scores).astype(np.int8)
    once = resample(label, {"m": scores}, np.arange(300), draws=400, seed=2)
    customer = np.repeat(np.arange(300), 10)
    copied = resample(label[customer], {"m": scores[customer]}, customer, draws=400, seed=2)
    assert copied.draws["m"] == pytest.approx(once.draws["m"], abs=0.02)
    ends = [drawn.interval("m", "log_loss") for drawn in (copied, once)]
    assert (ends[0].low, ends[0].high) == pytest.approx((ends[1].low, ends[1].high), rel=1e-12)


def test_same_seed_same_draws_whatever_the_members(predictions):
    customer = predictions.customers()
    alone = resample(predictions.label, {"sharp": predictions.probability["sharp"]}, customer, draws=20, seed=7)
    together = resample(predictions.label, predictions.probability, customer, draws=20, seed=7)
    other = resample(predictions.label, predictions.probability, customer, draws=20, seed=8)
    assert np.array_equal(alone.draws["sharp"], together.draws["sharp"])
    assert not np.array_equal(other.draws["sharp"], together.draws["sharp"])


def test_a_paired_interval_is_narrower_than_two_apart(predictions):
    customer = predictions.customers()
    found = resample(predictions.label, predictions.probability, customer, draws=300, seed=7)
    paired = found.difference("ensemble", "sharp", "roc_auc", 0.0).interval
    single = found.interval("sharp", "roc_auc")
    assert paired.high - paired.low < single.high - single.low


def test_a_member_against_itself_is_inside_the_noise(predictions):
    found = resample(predictions.label, predictions.probability, predictions.customers(), draws=50, seed=7)
    assert found.difference("sharp", "sharp", "roc_auc", 0.0).verdict == "inside the noise"


@pytest.mark.parametrize(
    ("metric", "low", "high", "verdict"),
    [
        ("roc_auc", 0.001, 0.002, "ahead"),
        ("roc_auc", -0.002, -0.001, "behind"),
        ("roc_auc", -0.001, 0.002, "inside the noise"),
        ("log_loss", 0.001, 0.002, "behind"),
        ("log_loss", -0.002, -0.001, "ahead"),
        ("log_loss", float("nan"), float("nan"), "inside the noise"),
    ],
)
def test_verdict_follows_the_interval_and_the_metrics_direction(metric, low, high, verdict):
    assert Difference(metric, (low + high) / 2, Interval(low, high)).verdict == verdict


def test_a_metric_that_most_draws_cannot_define_has_no_interval():
    label = np.array([1] + [0] * 9, np.int8)
    found = resample(label, {"m": np.linspace(0.9, 0.1, 10)}, np.arange(10), draws=200, seed=0)
    assert np.isnan(found.interval("m", "roc_auc").low)
    assert np.isfinite(found.interval("m", "log_loss").low)


@pytest.mark.parametrize(("rows", "draws"), [(0, 10), (10, 0)])
def test_nothing_to_resample_is_said(rows, draws):
    with pytest.raises(InputError, match=f"got {draws} draws of {rows} rows"):
        resample(np.zeros(rows, np.int8), {"m": np.zeros(rows)}, np.arange(rows), draws=draws)
