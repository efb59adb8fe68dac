import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from feature_repo.errors import BundleError
from intent_stores.packed_view import PackedView
from services.contracts import ScoreRequest
from services.customer_scoring import CustomerScoring
from services.golden_check import check_golden
from services.runtimes import load_member
from services.scoring import Scorer
from tests.online_store import VIEWS, lookup_over, tiny_lookup, write_rows
from tests.tiny_shop import AT, AT_US, USED, shop
from training.packaging.bundle import Bundle


@pytest.fixture(scope="module")
def bundle(tiny_bundle_folder: Path) -> Bundle:
    return Bundle.load(tiny_bundle_folder)


@pytest.fixture(scope="module")
def scorer(bundle: Bundle) -> Scorer:
    return Scorer(bundle)


@pytest.fixture
def scoring(bundle: Bundle, scorer: Scorer) -> CustomerScoring:
    return CustomerScoring(bundle, scorer, tiny_lookup())


def test_stored_examples_are_reproduced(bundle: Bundle, scorer: Scorer) -> None:
    assert check_golden(bundle, scorer) < 1e-6


def test_a_bundle_that_computes_something_else_is_refused(bundle: Bundle, scorer: Scorer) -> None:
    golden = bundle.files["golden.json"].replace(b'"probability": [\n  0.', b'"probability": [\n  0.9')
    altered = Bundle(bundle.manifest, dict(bundle.files) | {"golden.json": golden}, bundle.manifest_bytes)
    with pytest.raises(BundleError, match="not reproduced"):
        check_golden(altered, scorer)


def test_one_and_many_give_the_same(scoring: CustomerScoring, scorer: Scorer) -> None:
    users = [f"{number:08d}" for number in range(1, 13)]
    found = tiny_lookup().lookup({"user_id": users}, AT_US)
    columns = {field: column for rows in found.values() for field, column in rows.columns.items()}
    many = scorer.score(columns, np.full(len(users), AT_US, np.int64)).probability
    one = [scoring.answer(ScoreRequest(user_id=user, at=AT), AT).probability for user in users]
    assert one == pytest.approx(many, abs=1e-6)


def test_the_answer_says_what_it_rests_on(scoring: CustomerScoring, bundle: Bundle) -> None:
    answer = scoring.answer(ScoreRequest(user_id="00000003", at=AT), AT)
    assert answer.model == bundle.tag
    assert answer.horizon_days == 7
    assert tuple(answer.members) == USED
    assert sum(share.weight for share in answer.members.values()) == pytest.approx(1)
    assert {view.status for view in answer.views.values()} == {"fresh"}
    assert answer.views["user_history"].age_seconds == 86_400
    assert not answer.cold_start
    assert not answer.degraded


def test_an_unknown_customer_gets_the_cold_start_answer(scoring: CustomerScoring) -> None:
    answer = scoring.answer(ScoreRequest(user_id="nobody", at=AT), AT)
    assert answer.cold_start
    assert not answer.degraded
    assert {view.status for view in answer.views.values()} == {"missing"}
    assert 0 < answer.probability < 1


def test_values_newer_than_at_are_not_known_yet(scoring: CustomerScoring) -> None:
    before = scoring.answer(ScoreRequest(user_id="00000003", at=AT - timedelta(days=2)), AT)
    unknown = scoring.answer(ScoreRequest(user_id="nobody", at=AT - timedelta(days=2)), AT)
    assert before.cold_start
    assert before.probability == unknown.probability


def test_stale_views_are_withheld_and_the_answer_is_degraded(scoring: CustomerScoring) -> None:
    later = AT + timedelta(days=400)
    answer = scoring.answer(ScoreRequest(user_id="00000003", at=later), AT)
    assert answer.views["user_baskets"].status == "stale"
    assert answer.views["user_profile"].status == "fresh"
    assert answer.degraded
    assert not answer.cold_start


def test_now_stands_in_for_at(scoring: CustomerScoring) -> None:
    assert scoring.answer(ScoreRequest(user_id="a"), AT).at == AT


@pytest.mark.parametrize("why", ["SQLite: disk I/O error", "Redis: no answer in time", "no file at /srv/online.db"])
def test_a_store_that_gives_no_answer_degrades_and_one_that_is_back_does_not(
    bundle: Bundle, scorer: Scorer, why: str
) -> None:
    lookup, store = lookup_over(VIEWS, shop())
    scoring = CustomerScoring(bundle, scorer, lookup)
    request = ScoreRequest(user_id="00000003", at=AT)
    unknown = scoring.answer(ScoreRequest(user_id="nobody", at=AT), AT)
    store.trouble = why
    assert why in str(scoring.trouble())
    answer = scoring.answer(request, AT)
    assert answer.degraded
    assert not answer.cold_start  # it is the store that does not know, not the shop
    assert {(view.status, view.reason) for view in answer.views.values()} == {("missing", "no answer")}
    assert why not in answer.model_dump_json()
    assert answer.probability == unknown.probability
    store.trouble = None
    assert not scoring.answer(request, AT).degraded


def test_a_view_of_another_schema_degrades_and_is_named(bundle: Bundle, scorer: Scorer) -> None:
    lookup, store = lookup_over(VIEWS, shop())
    other = PackedView("user_profile", {"age_group": "String", "area": "Int64"}, ("user_id",))
    write_rows(store, other, {"00000003": (AT_US, {"age_group": "A", "area": 115})})
    answer = CustomerScoring(bundle, scorer, lookup).answer(ScoreRequest(user_id="00000003", at=AT), AT)
    assert (answer.views["user_profile"].status, answer.views["user_profile"].reason) == ("missing", "other schema")
    assert (answer.degraded, answer.cold_start) == (True, False)


def test_thirty_thousand_customers_take_seconds(scorer: Scorer) -> None:
    users = [f"{number % 50 + 1:08d}" for number in range(32_000)]
    found = tiny_lookup(50).lookup({"user_id": users}, AT_US)
    columns = {field: column for rows in found.values() for field, column in rows.columns.items()}
    begun = time.perf_counter()
    scores = scorer.score(columns, np.full(len(users), AT_US, np.int64))
    assert time.perf_counter() - begun < 20  # 1 s on an idle core
    assert np.array_equal(scores.probability[:50], scores.probability[50:100])


@pytest.mark.parametrize("runtime", ["onnx", "xgboost"])
def test_an_artefact_that_is_no_model_is_refused(bundle: Bundle, runtime: str) -> None:
    name = "recency" if runtime == "onnx" else "boosted_trees"
    description, _ = bundle.member(name)
    with pytest.raises(BundleError, match="cannot be loaded"):
        load_member(description, b"not a model")


def test_a_graph_with_other_inputs_is_refused(bundle: Bundle) -> None:
    description, artefact = bundle.member("sequence_lstm")
    with pytest.raises(BundleError, match=r"takes \['sequence', 'tabular'\]"):
        load_member(description | {"sequence": None}, artefact)
