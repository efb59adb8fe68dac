"""How closely the simulated shop has the shape of the real data sets that it was fitted to."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from feature_repo.errors import SourceDataError
from intent_cli.tables import distance_lines
from training.simulator.distances import distances, real_shapes, simulated_log
from training.simulator.parameters import load_parameters
from training.simulator.real_sets import REAL_SETS, real_log
from training.simulator.shapes import GRIDS, ShapeLog, shape_of, within

DATA = os.environ.get("INTENT_TEST_DATA", "")
PAGE = Path(__file__).parents[4] / "docs" / "simulated_shop.md"
MORE = 0.03
"""How much further away another seed may be than the page says: the bounds are the shop's, not its customers'."""


@pytest.fixture(scope="module")
def page() -> list[str]:
    """The lines of the page's table, its heading and what explains it included."""
    (table,) = re.findall(r"```text\n( +data set .*?)```", PAGE.read_text(), re.DOTALL)
    return table.splitlines()


def test_the_page_shows_what_the_command_prints(page):
    assert page == distance_lines(distances(simulated_log(load_parameters()), real_shapes()))


def test_with_another_seed_the_shop_is_as_close_as_the_page_says(page):
    found = distances(simulated_log(load_parameters(), seed=11), real_shapes())
    lines = [re.split(r" {2,}", line.strip()) for line in page]
    stated = {(line[0], line[1]): float(line[-1]) for line in lines if len(line) == 5}
    assert set(stated) == {(one.what, one.data) for one in found}
    assert len(stated) == 22
    assert {one.data for one in found} == set(REAL_SETS)
    far = {(one.what, one.data): one.distance for one in found if one.distance > stated[one.what, one.data] + MORE}
    assert far == {}
    assert all(one.distance >= 0 for one in found)


@pytest.mark.parametrize("name", REAL_SETS)
def test_the_shapes_are_those_of_the_real_sets(name):
    if REAL_SETS[name].file and not DATA:
        pytest.skip("INTENT_TEST_DATA, the folder with the published data sets, is not set")
    measured, known = shape_of(*real_log(name, Path(DATA))), real_shapes()[name]
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
