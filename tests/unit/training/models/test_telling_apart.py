"""Features that all anchors of a date share belong to the date's level; what was never seen is not gone on to."""

import numpy as np

from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import TabularEncoding
from training.dataset.examples import Examples
from training.models import member
from training.models.contract import FitSettings
from training.models.fit_encoding import fit_scaled_table, telling_apart

NUMERIC = {
    "weekday": np.array([1.0, 1.0, 2.0, 2.0]),
    "size": np.array([1.0, 2.0, 3.0, 3.0]),
    "sometimes": np.array([np.nan, 5.0, 5.0, 5.0]),
    "never": np.full(4, np.nan),
    "known on one date": np.array([np.nan, np.nan, 7.0, 7.0]),
}


def examples(numeric, at_us, label=None) -> Examples:
    n = len(at_us)
    label = np.arange(n, dtype=np.int8) % 2 if label is None else label
    features = CustomerFeatures(numeric, {}, {}, n)
    return Examples(np.array([f"u{i}" for i in range(n)], object), at_us, label, features)


def test_only_what_differs_within_a_date_tells_customers_apart() -> None:
    shuffled = np.array([2, 0, 3, 1])
    dates = np.array([10, 10, 20, 20])
    found = examples({name: values[shuffled] for name, values in NUMERIC.items()}, dates[shuffled])
    assert telling_apart(found, NUMERIC) == ["size", "sometimes"]


def test_one_column_and_all_columns_are_bounded_alike() -> None:
    features = examples({"size": np.array([1.0, 2.0, 4.0, np.nan])}, np.zeros(4, np.int64)).features
    encoding = fit_scaled_table(features, ["size"])
    later = CustomerFeatures({"size": np.array([-50.0, 1.0, 4.0, 1e6])}, {}, {}, 4)
    table = TabularEncoding.from_json(encoding.to_json()).apply(later)[:, 0]
    np.testing.assert_array_equal(table, encoding.numeric[0].apply(later.numeric["size"]).astype(np.float32))
    assert table[0] == table[1]
    assert table[2] == table[3]


def test_a_regression_does_not_answer_by_the_date() -> None:
    """The weekday is the same for all of a date; a date with another one gets the same answers."""
    random = np.random.default_rng(0)
    dates = np.repeat(np.arange(4), 100)
    size = random.normal(size=400)
    label = (random.random(400) < 1 / (1 + np.exp(-size - np.array([0, 2, 0, 2])[dates]))).astype(np.int8)
    train = examples({"size": size, "weekday": dates % 2 * 1.0}, dates, label)
    fitted = member("logistic_regression").fit(train, None, FitSettings(1))
    one, other = ({"size": size, "weekday": np.full(400, day)} for day in (0.0, 1.0))
    np.testing.assert_array_equal(
        *(fitted.predict_proba(CustomerFeatures(numeric, {}, {}, 400)) for numeric in (one, other))
    )
