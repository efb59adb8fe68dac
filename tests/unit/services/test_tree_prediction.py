"""Trees predicted by XGBoost's C function give the bits of `inplace_predict`, from many threads too."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xgboost

from services.tree_prediction import TreePrediction


@pytest.fixture(scope="module")
def booster() -> xgboost.Booster:
    random = np.random.default_rng(7)
    table = random.normal(size=(400, 6))
    data = xgboost.DMatrix(table, table[:, 0] + random.normal(size=400) > 0)
    return xgboost.train({"objective": "binary:logistic", "max_depth": 4, "nthread": 1}, data, 20)


def _table(rows: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    table = random.normal(size=(rows, 6)).astype(np.float32)
    table[random.random(table.shape) < 0.2] = np.nan
    return table


@pytest.mark.parametrize("rows", [1, 2, 200, 5000])
def test_it_gives_the_same_bits(booster: xgboost.Booster, rows: int) -> None:
    table = _table(rows, rows)
    expected = booster.inplace_predict(table, validate_features=False).astype(np.float64)
    assert TreePrediction(booster)(table).tobytes() == expected.tobytes()


def test_threads_do_not_mix_their_answers(booster: xgboost.Booster) -> None:
    predict = TreePrediction(booster)
    tables = [_table(1 + seed % 40, seed) for seed in range(200)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(predict, tables))
    for table, answer in zip(tables, found, strict=True):
        assert answer.tolist() == booster.inplace_predict(table, validate_features=False).tolist()


@pytest.mark.parametrize(
    "table",
    [
        _table(3, 1)[:, :5],
        np.ascontiguousarray(_table(3, 1)[:, :5]),
        _table(3, 1).astype(np.float64),
        np.asfortranarray(_table(3, 1)),
    ],
    ids=["cut", "too few columns", "float64", "by columns"],
)
def test_another_table_is_refused(booster: xgboost.Booster, table: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected rows of 6 float32"):
        TreePrediction(booster)(table)
