"""All columns at once give the bits that the columns give one by one."""

import numpy as np
import pytest

from feature_repo.errors import FeatureError
from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import NumericColumn, OneHotColumn, TabularEncoding

ENCODING = TabularEncoding(
    (
        NumericColumn("a"),
        NumericColumn("b", fill=2.5, log=True, mean=0.3, scale=1.7),
        NumericColumn("c", fill=0.0, mean=-4.0, scale=0.1),
        NumericColumn("a", log=True),
    ),
    (OneHotColumn("w", ("x", "y")),),
    ("b",),
)


def features(n: int) -> CustomerFeatures:
    rng = np.random.default_rng(n)
    numeric = {name: np.where(rng.random(n) < 0.2, np.nan, rng.normal(0, 100, n)) for name in "abc"}
    return CustomerFeatures(numeric, {"w": rng.choice(np.array(["x", "y", "z", None], object), n)}, {}, n)


@pytest.mark.parametrize("n", [0, 1, 7, 1000])
def test_the_table_is_its_columns(n: int) -> None:
    given = features(n)
    columns = [column.apply(given.numeric[column.name])[:, None] for column in ENCODING.numeric]
    columns += [column.apply(given.categorical[column.name]) for column in ENCODING.one_hot]
    columns += [np.isnan(given.numeric["b"])[:, None].astype(np.float64)]
    table = ENCODING.apply(given)
    np.testing.assert_array_equal(table, np.concatenate(columns, axis=1).astype(np.float32))
    assert table.shape == (n, len(ENCODING.names))
    assert table.flags.c_contiguous


def test_a_feature_that_is_not_there_is_named() -> None:
    given = features(3)
    del given.numeric["c"]
    with pytest.raises(FeatureError, match=r"\['c'\]"):
        ENCODING.apply(given)


def test_no_columns_at_all() -> None:
    assert TabularEncoding(()).apply(features(4)).shape == (4, 0)
