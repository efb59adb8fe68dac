import numpy as np
import pyarrow as pa
import pytest

from intent_cli.tables import interval_lines
from training.atomic import write_json, write_parquet
from training.ensemble.combine import Ensemble, Interval
from training.evaluation.predictions import Predictions
from training.pipelines.fit import INTERVAL_HIGH, INTERVAL_LOW
from training.pipelines.interval_coverage import coverage_on_test
from training.pipelines.whole_training import ENSEMBLE_FILE, TEST_SCORES

DATES, PER_DATE = 2, 4000


def run(out, half_width, band):
    """Two dates of probabilities that are right, with intervals of one width around them."""
    random = np.random.default_rng(5)
    n = DATES * PER_DATE
    p = random.uniform(0.1, 0.5, n)
    label = (random.random(n) < p).astype(np.int8)
    write_json(out / ENSEMBLE_FILE, Ensemble("mean", ("a",), (1.0,), interval=band).to_json())
    write_parquet(out / TEST_SCORES, pa.table({INTERVAL_LOW: p - half_width, INTERVAL_HIGH: p + half_width}))
    dates = np.repeat(np.arange(DATES), PER_DATE)
    users = np.array([f"u{number}" for number in range(n)], object)
    return coverage_on_test(out, Predictions(users, dates, label, {"ensemble": p}), dates)


BAND = Interval((0.1, 0.5), (0.0, 0.4), (0.2, 0.6), dates=5)


def test_wide_intervals_hold_and_narrow_ones_do_not(tmp_path):
    wide = run(tmp_path, 0.1, BAND)
    assert wide == {
        "coverage": 1.0,
        "expected": pytest.approx(4 / 6),
        "mean_width": pytest.approx(0.2),
        "dates": 5,
        "test_dates": DATES,
    }
    assert run(tmp_path, 1e-5, BAND)["coverage"] < 0.2


def test_an_ensemble_without_intervals_has_no_coverage(tmp_path):
    assert run(tmp_path, 0.1, None) == {}
    assert interval_lines({}) == []


def test_the_line_says_what_was_expected(tmp_path):
    (line,) = interval_lines(run(tmp_path, 0.1, BAND))
    assert line == (
        "  intervals held the rate of buyers for 100.0% of the anchors (66.7% or more expected, of 5 past dates), "
        "mean width 0.200"
    )
