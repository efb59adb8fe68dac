"""Spies instead of members: what were they shown, and what were they asked?"""

import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from tests.simulated_examples import DAY_US, HORIZON_DAYS, simulated_examples
from training.ensemble.combine import Ensemble
from training.ensemble.forward_predictions import fit_forward
from training.ensemble.newer_data import compare_newer_data
from training.models.contract import FitSettings, History


@dataclass
class Spy:
    name: str = "spy"
    shown: list = field(default_factory=list)

    def fit(self, train, validation, settings):
        self.shown.append((dates(train), None if validation is None else dates(validation)))
        return FittedSpy(self, len(train))


@dataclass(frozen=True)
class FittedSpy:
    spy: Spy
    rows: int
    history: History = field(default_factory=History)

    def predict_proba(self, features):
        return np.full(features.n, 1 / (1 + self.rows))

    def refit(self, examples, settings):
        self.spy.shown.append((dates(examples), "refit"))
        return replace(self, rows=len(examples))


def dates(examples):
    return np.unique(examples.anchor_us // DAY_US).tolist()


@pytest.fixture(scope="module")
def periods():
    return simulated_examples(customers=60)


def run(train, validation, horizon=HORIZON_DAYS):
    spy = Spy()
    return spy, fit_forward({"spy": spy}, train, validation, FitSettings(horizon))


def test_models_see_labels_only_that_had_ended(periods):
    spy, _ = run(*periods)
    assert spy.shown == [([42, 49, 56, 63], [70]), ([42, 49, 56, 63, 70], "refit")]


def test_more_origins_forecast_more_dates_each_by_a_fit_before_them(periods):
    spy = Spy()
    fits = fit_forward({"spy": spy}, *periods, FitSettings(HORIZON_DAYS), origins=4)
    assert spy.shown == [
        ([42, 49], [56, 63, 70]),
        ([42, 49, 56], "refit"),
        ([42, 49, 56, 63], "refit"),
        ([42, 49, 56, 63, 70], "refit"),
    ]
    assert dates(fits.forward) == [56, 63, 70, *dates(periods[1])]
    by_date = [fits.forward.probabilities["spy"][fits.forward.anchor_us == day * DAY_US][0] for day in (56, 63, 70)]
    known = [int((periods[0].anchor_us < day * DAY_US).sum()) for day in (56, 63, 70)]
    assert by_date == [1 / (1 + rows) for rows in known]


def test_a_longer_horizon_leaves_a_gap(periods):
    spy, _ = run(*periods, horizon=14)
    assert spy.shown[0] == ([42, 49, 56], [70])


def test_predictions_are_of_later_dates_by_the_fit_before_them(periods):
    train, validation = periods
    _, fits = run(train, validation)
    assert dates(fits.forward) == [70, *dates(validation)]
    by_date = [fits.forward.probabilities["spy"][fits.forward.anchor_us == day * DAY_US] for day in (70, 77)]
    early = int((train.anchor_us < 70 * DAY_US).sum())
    assert by_date[0][0] == 1 / (1 + early)
    assert by_date[1][0] == 1 / (1 + len(train))
    np.testing.assert_array_equal(fits.forward.label[-len(validation) :], validation.label)


def test_a_short_training_period_has_one_origin(periods):
    train, validation = periods
    spy, fits = run(train.take(train.anchor_us == 42 * DAY_US), validation)
    assert spy.shown == [([42], [42]), ([42], "refit")]
    assert fits.older is None
    assert len(fits.forward) == len(validation)
    assert compare_newer_data(fits, Ensemble("mean", ("spy",), (1.0,))) == []


def test_where_no_date_can_say_when_to_stop_customers_do_whom_the_fit_did_not_see(periods):
    one_date = periods[0].take(periods[0].anchor_us == 42 * DAY_US)
    parts = []

    class Watching(Spy):
        def fit(self, train, validation, settings):
            parts.append((set(train.user_id), set(validation.user_id)))
            return super().fit(train, validation, settings)

    fits = fit_forward({"spy": Watching()}, one_date, periods[1], FitSettings(HORIZON_DAYS))
    [(fitted, apart)] = parts
    assert apart
    assert not fitted & apart
    assert fitted | apart == set(one_date.user_id)
    assert fits.on_train["spy"].rows == len(one_date)


def test_customers_of_one_class_cannot_say_when_to_stop(periods):
    one_date = periods[0].take(periods[0].anchor_us == 42 * DAY_US)
    buyer, other = (int(np.flatnonzero(one_date.label == value)[0]) for value in (1, 0))
    spy, _ = run(one_date.take(np.array([buyer, other])), periods[1])
    assert spy.shown == [([42], None)]


def test_newer_data_are_compared_on_validation(periods):
    _, fits = run(*periods)
    table = compare_newer_data(fits, Ensemble("mean", ("spy",), (1.0,)))
    assert [row.who for row in table] == ["ensemble", "spy"]
    # Both spies answer far too low, the one with more rows the lower: newer data did not help here.
    assert table[0].difference > 0
    assert not table[0].helps
    assert table[0].newer - table[0].older == pytest.approx(table[0].difference)


def test_one_date_leaves_the_error_unknown_and_the_record_json(periods):
    train, validation = periods
    _, fits = run(train, validation.take(validation.anchor_us == validation.anchor_us.min()))
    row = compare_newer_data(fits, Ensemble("mean", ("spy",), (1.0,)))[0]
    assert not row.helps
    assert json.loads(json.dumps(row.to_json(), allow_nan=False))["standard_error"] is None
