"""What stands for a missing number: fitted on the training period, kept as data, told by name."""

import json

import numpy as np
import pytest

from feature_repo.errors import FeatureError, SplitError
from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import TabularEncoding
from feature_repo.transforms.ragged import Ragged
from training.dataset.examples import Examples, require_no_infinity
from training.models import member
from training.models.contract import FitSettings
from training.models.fit_encoding import fit_scaled_table, rows_to_fit
from training.models.readable_features import require_readable

SIZE = np.array([1.0, 2.0, 4.0, np.nan])
NAMES = ("size", "age")


def examples(size=SIZE, age=(10.0, 11.0, 12.0, 13.0)) -> Examples:
    n = len(size)
    features = CustomerFeatures({"size": np.array(size), "age": np.array(age)}, {}, {}, n)
    return Examples(np.array([f"u{i}" for i in range(n)], object), np.zeros(n, np.int64), np.arange(n) % 2, features)


@pytest.mark.parametrize(("impute", "fill"), [("median", 2.0), ("mean", 7 / 3), ("indicator", 2.0), ("delete", 7 / 3)])
def test_the_fill_is_that_of_the_training_period(impute, fill) -> None:
    encoding = fit_scaled_table(examples().features, NAMES, impute=impute)
    assert encoding.numeric[0].fill == pytest.approx(fill)
    later = examples(size=SIZE * 1000 + 5).features
    assert encoding.apply(later)[3, 0] == pytest.approx(encoding.apply(examples().features)[3, 0])


def test_the_indicator_is_a_column_that_survives_the_bundle() -> None:
    encoding = fit_scaled_table(examples().features, NAMES, impute="indicator")
    assert encoding.names == ["size", "age", "size is missing"]
    again = TabularEncoding.from_json(json.loads(json.dumps(encoding.to_json())))
    assert again == encoding
    assert again.apply(examples().features)[:, 2].tolist() == [0, 0, 0, 1]
    assert "missing" not in fit_scaled_table(examples().features, NAMES).to_json()


def test_deleting_leaves_incomplete_rows_out_of_the_fit_only() -> None:
    assert rows_to_fit(examples(), NAMES, "delete").user_id.tolist() == ["u0", "u1", "u2"]
    never = examples(age=[np.nan] * 4)
    assert len(rows_to_fit(never, NAMES, "delete")) == 3
    with pytest.raises(SplitError, match="No row of 4 is complete: 'size' is missing in 2"):
        rows_to_fit(examples(size=[np.nan, np.nan, 1, 1], age=[1, 1, np.nan, np.nan]), NAMES, "delete")


def test_refusing_names_the_features() -> None:
    with pytest.raises(FeatureError, match=r"got NaN in size \(1 of 4\); expected none"):
        rows_to_fit(examples(), NAMES, "refuse")
    assert len(rows_to_fit(examples(size=[1.0, 2.0, 3.0, 4.0]), NAMES, "refuse")) == 4


def test_refusing_names_the_channels_of_a_list() -> None:
    lists = Ragged(np.array([1.0, np.nan, np.nan, 2.0]), np.array([0, 1, 1, 3, 4]))
    features = CustomerFeatures({"size": np.ones(4)}, {}, {"price": lists}, 4)
    some = Examples(np.array(["a", "b", "c", "d"], object), np.zeros(4, np.int64), np.arange(4) % 2, features)
    require_readable(some, ["size"], "refuse")  # the lists are not read
    require_readable(some, ["size"], "median", ["price"])
    with pytest.raises(FeatureError, match=r"got NaN in price \(2 steps\); expected none"):
        require_readable(some, ["size"], "refuse", ["price"])


@pytest.mark.parametrize("impute", ["median", "mean", "indicator", "delete"])
def test_a_member_exports_and_answers_whatever_is_missing(impute, tmp_path) -> None:
    rng = np.random.default_rng(3)
    size = np.where(rng.random(200) < 0.3, np.nan, rng.normal(size=200))
    train = examples(size=size, age=rng.normal(size=200))
    fitted = member("recency").fit(train, None, FitSettings(1, core_features=NAMES, impute=impute))
    fitted.export(tmp_path)
    told = json.loads((tmp_path / "member.json").read_text())["tabular"]
    assert [column["name"] for column in told["numeric"]] == ["size", "age"]
    assert told.get("missing", []) == (["size"] if impute == "indicator" else [])
    assert np.isfinite(fitted.predict_proba(train.features)).all()


def test_infinite_values_are_named() -> None:
    with pytest.raises(FeatureError, match=r"infinite: got size \(2 values\); expected numbers up to 3.4e38, or NaN"):
        require_no_infinity(examples(size=[np.inf, -np.inf, np.nan, 1.0]).features)
    require_no_infinity(examples(size=[3.4e38, -3.4e38, np.nan, 1.0]).features)


def test_numbers_beyond_those_that_members_compute_in_are_named() -> None:
    with pytest.raises(FeatureError, match=r"infinite: got size \(2 values\)"):
        require_no_infinity(examples(size=[1e39, -3.5e38, 0.0, 1.0]).features)
