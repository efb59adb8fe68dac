"""How closely the simulated shop has the shape of the real data sets that it was fitted to."""

from pathlib import Path

import numpy as np
import pytest

from feature_repo.errors import SourceDataError
from training.simulator.distances import distances, real_shapes, simulated_log
from training.simulator.parameters import load_parameters
from training.simulator.real_sets import REAL_SETS, real_log
from training.simulator.shapes import GRIDS, ShapeLog, shape_of, within

DATA = Path(__file__).resolve().parents[5] / "shared" / "data"

# What was aimed at, and how far off it may be (distances as `intent simulate --distance` prints them). Another seed
# than the one of the fit: the bounds are those of the shop, not of its customers.
CLOSE = {
    ("days between purchases (median)", "ta_feng"): 0.04,
    ("events in a session (median)", "taobao"): 0.12,
    ("events of a customer, by the mean (median)", "taobao"): 0.17,
    ("seconds between events (median)", "taobao"): 0.03,
    ("sessions with a purchase", "taobao"): 0.02,
    ("purchases per cart", "taobao"): 0.06,
    ("types of events (share of views)", "taobao"): 0.04,
    ("margin (median)", "ta_feng"): 0.05,
    ("price, by the median (median)", "rees46"): 0.06,
    ("slope of popularity", "ta_feng"): 0.1,
    ("slope of popularity", "online_retail"): 0.1,
}


def test_the_shop_is_as_close_as_stated():
    found = distances(simulated_log(load_parameters(), seed=11), real_shapes())
    told = {(one.what, one.data): one.distance for one in found}
    assert {aim: told[aim] for aim, bound in CLOSE.items() if told[aim] > bound} == {}
    assert {one.data for one in found} == set(REAL_SETS)
    assert all(0 <= one.distance < 1 for one in found)


@pytest.mark.parametrize("name", REAL_SETS)
def test_the_shapes_are_those_of_the_real_sets(name):
    if not DATA.is_dir() and REAL_SETS[name].file:
        pytest.skip(f"the real data sets are not at {DATA}")
    measured, known = shape_of(*real_log(name, DATA)), real_shapes()[name]
    assert measured.events == known.events
    assert measured.types == pytest.approx(known.types)
    assert measured.numbers == pytest.approx(known.numbers)
    assert set(measured.curves) == set(known.curves)
    for curve, values in measured.curves.items():
        assert np.allclose(values, known.curves[curve], atol=1e-6)


def test_a_real_set_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SourceDataError, match=r"There is no rees46/2019-Oct\.csv"):
        real_log("rees46", tmp_path)


def test_shapes_of_a_log_that_one_can_count():
    """Two customers: three sessions, two purchases four days apart."""
    day = 86_400
    log = ShapeLog(
        customer=np.array([1, 1, 1, 1, 2]),
        second=np.array([0, 60, 4 * day, 4 * day + 1_799, 10]),
        kind=np.array([0, 4, 3, 4, 0]),
        item=np.array([1, 1, 2, 2, 3]),
        price=np.array([2.0, 2.0, 8.0, 8.0, 2.0]),
    )
    found = shape_of(log, 120)
    assert found.types == {"view": 0.4, "add_to_cart": 0.2, "purchase": 0.4}
    assert found.numbers["sessions with a purchase"] == pytest.approx(2 / 3)
    assert found.numbers["purchases per cart"] == 2
    gaps = found.curves["days between purchases"]
    assert (gaps[2], gaps[3]) == (0.0, 1.0)
    lengths = found.curves["events in a session"]
    assert lengths[:2] == [pytest.approx(1 / 3, abs=1e-6), 1.0]
    prices = dict(
        zip(GRIDS["price, by the median"].round(3).tolist(), found.curves["price, by the median"], strict=True)
    )
    assert prices[min(price for price in prices if price > 1)] == 0.6
    assert len(within(log, 0, 1).customer) == 3
