from dataclasses import replace

import numpy as np
import pytest
import xgboost

from tests.simulated_examples import HORIZON_DAYS, InParts, simulated_examples
from training.date_levels import date_codes, date_levels, pooled_level
from training.models import encoded_table
from training.models.boosted_trees import model
from training.models.boosted_trees.model import MEMBER, NO_WORSE
from training.models.contract import FitSettings

SETTINGS = FitSettings(HORIZON_DAYS, seed=3)


@pytest.fixture(scope="module")
def periods():
    return simulated_examples()


@pytest.fixture(scope="module")
def fitted(periods):
    return MEMBER.fit(*periods, SETTINGS)


def test_keeps_the_last_round_that_is_as_good_as_the_best(fitted):
    losses = np.array(fitted.history.validation)
    assert losses[fitted.history.best - 1] <= losses.min() + NO_WORSE
    assert (losses[fitted.history.best :] > losses.min() + NO_WORSE).all()
    assert fitted.booster.num_boosted_rounds() == fitted.history.best


def test_without_validation_the_number_of_rounds_is_fixed(periods):
    fitted = MEMBER.fit(periods[0], None, replace(SETTINGS, parameters={"rounds": 20}))
    assert fitted.history.best == 20
    assert fitted.booster.num_boosted_rounds() == 20


def test_the_curve_of_training_is_that_of_some_rows_of_all_dates(periods, monkeypatch):
    all_rows = MEMBER.fit(periods[0], None, replace(SETTINGS, parameters={"rounds": 20}))
    monkeypatch.setattr(model, "CURVE_ROWS", 250)
    some = MEMBER.fit(periods[0], None, replace(SETTINGS, parameters={"rounds": 20}))
    assert some.booster.get_dump() == all_rows.booster.get_dump()
    np.testing.assert_allclose(some.history.train, all_rows.history.train, atol=0.05)
    assert some.history.train != all_rows.history.train


def test_refit_grows_as_many_trees(fitted, periods):
    assert fitted.refit(periods[1], SETTINGS).booster.num_boosted_rounds() == fitted.history.best


@pytest.mark.parametrize("told_when_to_stop", [True, False])
def test_answers_at_the_pooled_level(told_when_to_stop, fitted, periods):
    train = periods[0]
    if not told_when_to_stop:  # then XGBoost is asked for the sums of the trees that it has just grown
        fitted = MEMBER.fit(train, None, replace(SETTINGS, parameters={"rounds": 20}))
    table = xgboost.DMatrix(fitted.tabular.apply(train.features), base_margin=np.zeros(len(train)))
    margin = fitted.booster.predict(table, output_margin=True).astype(float)
    level = pooled_level(margin, date_levels(margin, train.label, date_codes(train.anchor_us)))
    p = fitted.predict_proba(train.features)
    np.testing.assert_allclose(np.log(p / (1 - p)), margin + level, atol=1e-4)


def test_a_week_of_low_demand_does_not_pull_the_others_down(fitted, periods):
    """The third training week lost 70 % of its purchases; predictions for it are no lower than for its neighbours."""
    train = periods[0]
    codes, p = date_codes(train.anchor_us), fitted.predict_proba(train.features)
    label = [train.label[codes == date].mean() for date in (1, 2, 3)]
    answer = [p[codes == date].mean() for date in (1, 2, 3)]
    assert label[1] < 0.6 * label[0]
    assert answer[1] > 0.8 * answer[0]


@pytest.mark.parametrize("weighted", [False, True])
def test_a_table_on_disk_grows_the_same_trees(periods, tmp_path, monkeypatch, weighted):
    monkeypatch.setattr(encoded_table, "BLOCK_ROWS", 500)
    told = replace(SETTINGS, parameters={"most_rounds": 40, "class_weights": weighted}, scratch=tmp_path)
    whole, stored = (MEMBER.fit(*given, told) for given in (periods, [InParts.of(period) for period in periods]))
    np.testing.assert_allclose(stored.history.validation, whole.history.validation, atol=1e-6)
    features = periods[1].features
    np.testing.assert_allclose(stored.predict_proba(features), whole.predict_proba(features), atol=1e-6)
    again = stored.refit(InParts.of(periods[0]), told).predict_proba(features)
    np.testing.assert_allclose(again, whole.refit(periods[0], told).predict_proba(features), atol=1e-6)
    assert not list(tmp_path.iterdir())


def test_so_many_threads_grow_the_same_trees(periods, monkeypatch):
    grown = []
    for rows in (10**9, 1):
        monkeypatch.setattr(model, "ROWS_PER_THREAD", rows)
        monkeypatch.setattr(model.os, "cpu_count", lambda: 4)
        assert model.threads_for(len(periods[0])) == (1 if rows > 1 else 4)
        grown.append(MEMBER.fit(*periods, replace(SETTINGS, parameters={"most_rounds": 40})))
    one, four = (bytes(fitted.booster.save_raw("ubj")) for fitted in grown)
    assert one == four
