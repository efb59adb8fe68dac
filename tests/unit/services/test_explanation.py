"""Contributions add up, whatever the ensemble; additive members are taken apart exactly."""

import numpy as np
import pytest

from feature_repo.transforms.calendar import Calendar
from feature_repo.transforms.feature_sets import customer_event_features, customer_item_features
from feature_repo.transforms.ragged import Ragged
from feature_repo.transforms.situation import REQUEST_WORDS
from services.explanation import MemberContributions, explain
from services.feature_words import effect_words, feature_words, step_words
from services.permutation_shapley import shapley_values
from training.ensemble.combine import Calibration, Ensemble, combine, log_odds, sigmoid

NONE, PLATT = Calibration(), Calibration("platt", slope=0.8, intercept=-0.2)


def parts(rng: np.random.Generator) -> dict[str, MemberContributions]:
    return {
        "trees": MemberContributions(-1.5, {"a": rng.normal(), "b": rng.normal()}, np.empty(0), "tree_shap"),
        "network": MemberContributions(-0.7, {"a": rng.normal()}, rng.normal(size=4), "permutation_shapley"),
        "small": MemberContributions(0.3, {"c": 2 * rng.normal()}, rng.normal(size=2), "permutation_shapley"),
    }


@pytest.mark.parametrize("calibration", [NONE, PLATT])
@pytest.mark.parametrize(("method", "intercept"), [("mean", 0.0), ("log_odds", 0.0), ("stacker", 0.4)])
@pytest.mark.parametrize("seed", range(5))
def test_an_explanation_adds_up(method, intercept: float, calibration: Calibration, seed: int) -> None:
    members = parts(np.random.default_rng(seed))
    names = ("trees", "network", "small", "idle")
    ensemble = Ensemble(method, names, (0.5, 0.2, 0.3, 0.0), intercept, calibration)
    said = {name: sigmoid(np.array([part.base + part.total])) for name, part in members.items()}
    probability = float(combine(ensemble, said)[0])
    found = explain(ensemble, members, probability)
    total = found.base + sum(found.features.values()) + found.steps.sum()
    assert total + found.calibration == pytest.approx(float(log_odds(np.array(probability))), abs=1e-9)
    uncalibrated = combine(Ensemble(method, names, (0.5, 0.2, 0.3, 0.0), intercept), said)
    assert total == pytest.approx(float(log_odds(uncalibrated)[0]), abs=1e-6)  # the calibration is all of its term
    assert len(found.steps) == 4


def test_shapley_values_of_a_sum_are_its_terms() -> None:
    terms = np.random.default_rng(1).normal(size=7)
    base, values = shapley_values(lambda joined: 0.25 + joined @ terms, 7, seed=3)
    assert base == pytest.approx(0.25)
    np.testing.assert_allclose(values, terms, atol=1e-12)


def test_shapley_values_are_fair_and_add_up() -> None:
    def game(joined: np.ndarray) -> np.ndarray:
        return joined[:, 0] * joined[:, 1] * 6.0 + joined[:, 2]

    base, values = shapley_values(game, 4, seed=0)
    np.testing.assert_allclose(values, [3.0, 3.0, 1.0, 0.0], atol=1e-12)  # a pair backwards and forwards is exact here
    assert base + values.sum() == pytest.approx(7.0)
    np.testing.assert_array_equal(values, shapley_values(game, 4, seed=0)[1])


def test_nothing_to_leave_out() -> None:
    base, values = shapley_values(lambda joined: np.full(len(joined), 1.5), 0, seed=0)
    assert (base, values.shape) == (1.5, (0,))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("recency_days", 3.0, "days since the last basket: 3"),
        ("weekend_share", 0.25, "baskets at a weekend: 25 %"),
        ("purchase_count_7d", 12.0, "purchases in the last 7 days: 12"),
        ("purchase_revenue_30d", 1234.5, "spent in the last 30 days: 1,234"),
        ("days_since_basket_3", None, "days since the basket 2 before the last: not known"),
        ("age_group", "B", "age group: B"),
        ("something_else", 0.123456, "something else: 0.123"),
        ("seconds_since_event", 1_166_400.0, "time since the last event: 13.5 days"),
        ("session_seconds", 45.0, "time into this session: 45 seconds"),
        ("last_is_view", 1.0, "the last event is a view: yes"),
        ("country_is_usual", 0.0, "the request comes from the customer's own country: no"),
        ("local_weekday", 3.0, "weekday: Thursday"),
        ("earlier_purchase_share", 0.5, "events that are purchases before this session: 50 %"),
    ],
)
def test_features_in_words(name: str, value: float | str | None, words: str) -> None:
    assert feature_words(name, value) == words


def test_every_feature_of_customers_and_items_has_words() -> None:
    """What has none is told by its name, which a shop's own feature may be; none of ours is."""
    assert len(names := every_feature()) > 180
    assert [name for name in names if feature_words(name, "…") == f"{name.replace('_', ' ')}: …"] == [
        name for name in names if name in ("age_group", "area", "country", "gender", "occupation")
    ]


def every_feature() -> list[str]:
    """Names of the features that are made where everything is known of a customer, an item and the request."""
    at_us = np.array([983_404_800_000_000])
    texts = {"event_type": "view", "event_item": "i", "event_category": "c"}
    amounts = {"event_at": at_us, "event_revenue": 1.0, "event_price": 1.0}
    words = ("item_id", "item_category", "country", "area", "age_group", "gender", "occupation", *REQUEST_WORDS)
    lists = {
        name: Ragged(np.atleast_1d(np.array(value, object if name in texts else None)), np.array([0, 1]))
        for name, value in (texts | amounts).items()
    }
    numbers = (
        "list_price",
        "item_purchases_total",
        "item_buyers_total",
        "item_purchases_7d",
        "item_purchases_30d",
        "item_revenue_7d",
    )
    columns = lists | {name: np.array(["x"], object) for name in words} | {name: np.ones(1) for name in numbers}
    calendar = Calendar("UTC", ("2001-01-01",), seasons=True)
    made = [make(columns, at_us, calendar) for make in (customer_event_features, customer_item_features)]
    return sorted({name for found in made for name in (*found.numeric, *found.categorical)})


def test_steps_and_effects_in_words() -> None:
    assert step_words("basket", 982_540_800e6, {"lines": 5.0, "revenue": float("nan")}) == (
        "basket of 2001-02-19 (5 lines)"
    )
    assert step_words("basket", 982_540_800e6, {"lines": 1.0}) == "basket of 2001-02-19 (1 line)"
    assert effect_words(np.log(2)) == "odds × 2.00"
