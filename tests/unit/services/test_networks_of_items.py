"""Networks over customers' events, asked about items: what is served for a pair is what training computes for it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from feature_repo.transforms.calendar import Calendar
from feature_repo.transforms.feature_sets import OF_CUSTOMER, feature_function
from feature_repo.transforms.ragged import Ragged
from services.batch_contracts import RankRequest
from services.contracts import ExplainRequest, ScoreRequest
from services.feature_lookup import read_views, views_of
from services.golden_check import check_golden
from services.item_scorer import ItemScorer
from services.item_scoring import ItemScoring
from tests.online_store import lookup_over
from tests.tiny_items import HOW, ITEM_FEATURES, ITEM_HORIZON_DAYS, ITEMS, item_rows, pair_columns, write_item_bundle
from tests.tiny_networks import CUSTOMERS, NETWORKS, SHOP, SMALL
from tests.tiny_shop import AT, AT_US
from training.dataset.examples import Examples
from training.ensemble.combine import Ensemble, combine
from training.models import member
from training.models.contract import FitSettings, Fitted
from training.packaging.bundle import Bundle
from training.packaging.golden import golden_vectors
from training.packaging.item_part import item_part
from training.packaging.write_bundle import BundlePart

OF_SERVICE = {"item_ranking": NETWORKS, "customer_item_events": ("sequence_lstm",)}


@dataclass(frozen=True)
class Served:
    """The service's scoring of pairs, and what training has: the fitted members, and their answers to every pair."""

    scoring: ItemScoring
    service: str
    fitted: dict[str, Fitted]
    trained: dict[str, np.ndarray]


@pytest.fixture(scope="module", params=OF_CUSTOMER)
def served(request: pytest.FixtureRequest, tiny_bundle_folder: Path, tmp_path_factory) -> Served:
    folder, service = tmp_path_factory.mktemp("networks_of_items"), request.param
    columns, at_us = pair_columns(SHOP)
    features = feature_function(service, Calendar())(columns, at_us)
    drawn = np.random.default_rng(0).random(len(at_us))
    label = (drawn < np.where(features.numeric["item_events"] > 0, 0.6, 0.1)).astype(np.int8)
    examples = Examples(np.repeat([*map(str, range(CUSTOMERS))], len(ITEMS)).astype(object), at_us, label, features)
    fitted = {}
    for name in OF_SERVICE[service]:
        declared = {parameter.name for parameter in member(name).parameters}
        told = FitSettings(ITEM_HORIZON_DAYS, 3, parameters={k: v for k, v in SMALL.items() if k in declared})
        fitted[name] = member(name).fit(examples, None, told)
        fitted[name].export(folder / "members" / name)
    trained = {name: one.predict_proba(features) for name, one in fitted.items()}
    ensemble = Ensemble("mean", tuple(trained), (1 / len(trained),) * len(trained))

    def part(work: Path, facts: dict) -> BundlePart:
        golden = golden_vectors(columns, at_us, combine(ensemble, trained), trained)
        return BundlePart(
            work, ensemble.to_json(), ITEM_FEATURES, golden, facts | {"features": HOW | {"service": service}}
        )

    write_item_bundle(tiny_bundle_folder, folder / "bundle", folder / "members", part)
    bundle = item_part(Bundle.load(folder / "bundle"))
    assert bundle is not None
    scorer = ItemScorer(bundle)
    assert check_golden(bundle, scorer) <= 1e-5
    views = views_of(read_views(ITEM_FEATURES), "user_id", "item_id")
    events = {user: row for rows in SHOP for user, row in rows.items()}
    return Served(
        ItemScoring(bundle, scorer, lookup_over(views, {"user_events": events, **item_rows()})[0]),
        service,
        fitted,
        trained,
    )


def test_each_member_answers_about_a_pair_as_in_training(served: Served) -> None:
    for name, trained in served.trained.items():
        assert np.ptp(trained) > 1e-3, name  # it tells pairs apart: the comparison says something
        assert np.ptp(trained[: len(ITEMS)]) > 1e-4, name  # and one customer's items
    for number in (1, 12, 13, 14, 25, 40):
        for place, item in enumerate(ITEMS):
            request = ScoreRequest(user_id=f"{number:08d}", item_id=item, at=AT)
            answer = served.scoring.answer(request, AT)
            assert not answer.degraded
            row = (number - 1) * len(ITEMS) + place
            for name, trained in served.trained.items():
                assert answer.members[name].probability == pytest.approx(trained[row], abs=1e-5)


def test_a_ranking_has_the_numbers_of_training(served: Served) -> None:
    expected = np.mean(list(served.trained.values()), axis=0).reshape(CUSTOMERS, len(ITEMS))
    for number in range(1, CUSTOMERS + 1):
        answer = served.scoring.rank(RankRequest(user_id=f"{number:08d}", item_ids=ITEMS, at=AT), AT)
        assert not answer.degraded
        found = {one.item_id: one.probability for one in answer.items}
        np.testing.assert_allclose([found[item] for item in ITEMS], expected[number - 1], rtol=0, atol=1e-5)


def test_an_item_and_a_customer_that_nobody_knows_are_answered_as_in_training(served: Served) -> None:
    columns = {name: column.take(np.zeros(1, np.int64)) for name, column in pair_columns(SHOP[12:])[0].items()
               if isinstance(column, Ragged)}  # fmt: skip
    columns |= {"item_id": np.array(["nobody's"], object), "item_category": np.array([None], object)}
    columns |= {name: np.array([np.nan]) for name in ("list_price", "item_purchases_total")}
    assert not columns["event_at"].lengths.any()
    features = feature_function(served.service, Calendar())(columns, np.array([AT_US]))
    answer = served.scoring.answer(ScoreRequest(user_id="nobody", item_id="nobody's", at=AT), AT)
    for name, one in served.fitted.items():
        assert answer.members[name].probability == pytest.approx(one.predict_proba(features)[0], abs=1e-5)


def test_an_explanation_adds_up_and_names_the_item(served: Served) -> None:
    answer = served.scoring.explain(ExplainRequest(user_id="00000012", item_id=ITEMS[0], at=AT), AT)
    told = sum(one.log_odds for one in answer.contributions)
    assert answer.base + told + answer.calibration == pytest.approx(answer.log_odds)
    assert answer.log_odds == pytest.approx(np.log(answer.probability / (1 - answer.probability)), abs=1e-6)
    assert "which item it is" in {one.says.split(" (")[0] for one in answer.contributions}
    assert any(one.feature == "event_1_from_last" for one in answer.contributions)
