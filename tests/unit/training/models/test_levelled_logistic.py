"""Logistic regression with levels: the weights of scikit-learn's solver, whether the table is in memory or on disk."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.simulated_examples import InParts, simulated_examples
from training.date_levels import SPREAD, date_codes
from training.models import encoded_table
from training.models.class_weights import class_weights
from training.models.encoded_table import encode_table
from training.models.fit_encoding import fit_scaled_table
from training.models.levelled_logistic import fit_levelled_logistic


@pytest.fixture(scope="module")
def examples():
    return simulated_examples(300)[0]


@pytest.fixture(scope="module")
def tabular(examples):
    return fit_scaled_table(examples.features, examples.features.numeric, examples.features.categorical)


def of_scikit_learn(tabular, examples, c, balanced):
    """A level is a column for its date, so high that the penalty on its weight is the prior of a level."""
    table, codes = tabular.apply(examples.features).astype(np.float64), date_codes(examples.anchor_us)
    dates = np.eye(codes.max() + 1)[codes] * (SPREAD / np.sqrt(c))
    rows = np.where(examples.label == 1, *class_weights(examples.label)[::-1]) if balanced else None
    regression = LogisticRegression(C=c, solver="newton-cholesky", max_iter=200, tol=1e-10)
    return regression.fit(np.hstack([table, dates]), examples.label, rows).coef_[0, : table.shape[1]]


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("c", [1e-3, 0.01, 1.0, 100.0])
def test_weights_are_those_of_scikit_learn(examples, tabular, c, balanced):
    weights, _ = fit_levelled_logistic(tabular, examples, c, balanced=balanced)
    np.testing.assert_allclose(weights, of_scikit_learn(tabular, examples, c, balanced), atol=2e-6)


def test_what_is_on_disk_gives_the_same(examples, tabular, tmp_path, monkeypatch):
    monkeypatch.setattr(encoded_table, "BLOCK_ROWS", 50)
    expected = fit_levelled_logistic(tabular, examples, 0.01)
    found = fit_levelled_logistic(tabular, InParts.of(examples), 0.01, scratch=tmp_path)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-12)
    assert found[1] == pytest.approx(expected[1], abs=1e-12)
    assert not list(tmp_path.iterdir())  # the table's file went with it


def test_a_table_on_disk_is_the_table_in_memory(examples, tabular, tmp_path, monkeypatch):
    monkeypatch.setattr(encoded_table, "BLOCK_ROWS", 50)
    whole, stored = encode_table(tabular, examples, None), encode_table(tabular, InParts.of(examples), tmp_path)
    assert stored.whole is None
    assert stored.shape == whole.shape == (len(examples), len(tabular.names))
    for _ in range(2):  # as often as it is asked for
        blocks = list(stored.blocks())
        assert {len(block) for block in blocks[:-1]} == {50}
        np.testing.assert_array_equal(np.concatenate(blocks), whole.whole)
    some = np.array([0, 3, len(examples) - 1])
    np.testing.assert_array_equal(stored.rows(some), whole.rows(some))


def test_a_column_that_says_everything_has_a_finite_weight(examples, tabular):
    told = type(examples)(
        examples.user_id, examples.anchor_us, (examples.features.numeric["recency_days"] < 9).astype(np.int8),
        examples.features,
    )  # fmt: skip
    weights, level = fit_levelled_logistic(tabular, told, 100.0)
    assert np.isfinite([*weights, level]).all()
