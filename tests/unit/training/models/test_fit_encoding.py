import json

import numpy as np
import pytest

from feature_repo.errors import FeatureError
from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import SequenceEncoding
from feature_repo.transforms.ragged import Ragged
from training.models.fit_encoding import RARE_BELOW, fit_filled_table, fit_raw_table, fit_scaled_table, fit_sequence


def features(numeric=None, categorical=None, sequences=None, n=100):
    return CustomerFeatures(numeric or {}, categorical or {}, sequences or {}, n)


def test_scaled_columns_have_mean_0_and_deviation_1():
    random = np.random.default_rng(0)
    values = random.lognormal(3, 1.5, 1000)
    values[:50] = np.nan
    table = fit_scaled_table(
        features({"amount": values, "other": random.normal(5, 2, 1000)}, n=1000), ["amount", "other"]
    )
    assert [column.log for column in table.numeric] == [True, False]
    assert table.numeric[0].fill == np.nanmedian(values)
    encoded = table.apply(features({"amount": values, "other": random.normal(5, 2, 1000)}, n=1000))
    np.testing.assert_allclose(encoded[:, 0].mean(), 0, atol=1e-5)
    np.testing.assert_allclose(encoded[:, 0].std(), 1, atol=1e-5)


@pytest.mark.parametrize("values", [np.full(100, np.nan), np.full(100, 7.0), np.zeros(100)])
def test_a_column_that_says_nothing_is_constant_and_finite(values):
    known = features({"same": values})
    encoded = fit_scaled_table(known, ["same"]).apply(known)
    assert np.isfinite(encoded).all()
    np.testing.assert_allclose(encoded, 0)


def test_negative_amounts_are_not_taken_by_their_logarithm():
    table = fit_scaled_table(features({"margin": np.r_[-1.0, np.linspace(0, 1e6, 99)]}), ["margin"])
    assert not table.numeric[0].log


def test_raw_table_leaves_missing_values_and_unknown_columns_out():
    known = features(
        {"a": np.r_[np.nan, np.arange(99.0)], "never": np.full(100, np.nan)},
        {"area": np.array(["x"] * 60 + ["y"] * 30 + ["rare"] * 5 + [None] * 5, object), "none": np.full(100, None)},
    )
    table = fit_raw_table(known)
    assert table.names == ["a", "area=x", "area=y", "area=unknown"]
    encoded = table.apply(known)
    assert np.isnan(encoded[0, 0])
    assert encoded[:, 3].sum() == 10


def test_vocabulary_is_sorted_and_holds_no_rare_word():
    words = np.array(["b"] * 50 + ["a"] * RARE_BELOW + ["c"] * (RARE_BELOW - 1) + [None] * 11, object)
    assert fit_raw_table(features({}, {"area": words})).one_hot[0].vocabulary == ("a", "b")


def test_filled_table_keeps_units():
    known = features({"days": np.r_[np.nan, np.full(99, 12.0)]})
    np.testing.assert_array_equal(fit_filled_table(known, ["days"]).apply(known), np.full((100, 1), 12.0, np.float32))


def test_sequence_is_scaled_over_all_steps():
    lists = Ragged(np.random.default_rng(0).normal(4, 3, 500), np.array([0, 0, 100, 500]))
    known = features(sequences={"lines": lists}, n=3)
    values, offsets = fit_sequence(known, ["lines"], 1000).apply(known)
    assert values.mean() == pytest.approx(0, abs=1e-5)
    assert offsets.tolist() == [0, 0, 100, 500]
    assert fit_sequence(known, ["lines"], 50).apply(known)[1].tolist() == [0, 0, 50, 100]
    assert fit_sequence(known, ["lines"], 50).longer(known) == 2


def test_a_channel_that_no_step_knows_is_left_out():
    offsets = np.array([0, 1, 2])
    lists = {"lines": Ragged(np.ones(2), offsets), "price": Ragged(np.full(2, np.nan), offsets)}
    assert [one.name for one in fit_sequence(features(sequences=lists, n=2), lists, 9).channels] == ["lines"]
    none = {name: Ragged(np.empty(0), np.zeros(3, np.int64)) for name in lists}
    assert [one.name for one in fit_sequence(features(sequences=none, n=2), none, 9).channels] == ["lines", "price"]


@pytest.mark.parametrize(("channel", "kept"), [("basket_lines", 50), ("event_revenue", 256), ("of no view", None)])
def test_a_list_longer_than_its_view_keeps_is_refused(channel, kept):
    def lists(*lengths):
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return features(sequences={channel: Ragged(np.arange(float(offsets[-1])), offsets)}, n=len(lengths))

    whole = kept or 300
    fitted = fit_sequence(lists(3, whole), [channel], 10)
    told = json.loads(json.dumps(fitted.to_json()))
    assert told.get("kept") == kept
    assert SequenceEncoding.from_json(told) == fitted
    assert fitted.apply(lists(whole, 0))[1].tolist() == [0, 10, 10]  # the newest steps of what the view may hold
    if kept is None:
        assert fitted.apply(lists(whole + 1))[1].tolist() == [0, 10]
    else:
        with pytest.raises(FeatureError, match=f"{channel!r} has {whole + 1} steps; expected at most {whole}"):
            fitted.apply(lists(4, whole + 1))
