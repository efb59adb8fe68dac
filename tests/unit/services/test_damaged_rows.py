"""A stored row that no score can be made of harms nobody but its own customer, whose answer says so."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from feature_repo.errors import FeatureError
from intent_stores.packed_reader import PackedReader
from services.batch_contracts import RankRequest
from services.contracts import ExplainRequest, ScoreRequest, ScoreResponse
from services.customer_scoring import CustomerScoring
from services.damaged_rows import DAMAGED, require_numbers, without_damaged
from services.feature_lookup import ViewRows, read_views, views_of
from services.item_scorer import ItemScorer
from services.item_scoring import ItemScoring
from services.packed_lookup import PackedLookup
from services.scoring import Scorer
from tests.online_store import VIEWS, DictionaryStore, Rows, lookup_over, write_rows
from tests.tiny_items import ITEM_FEATURES, ITEMS, events_of, item_rows, write_item_bundle
from tests.tiny_shop import AT, shop
from training.packaging.bundle import Bundle
from training.packaging.item_part import item_part

USERS = [f"{number:08d}" for number in range(1, 13)]
HARMED = "00000005"


@pytest.fixture(scope="module")
def bundle(tiny_bundle_folder: Path) -> Bundle:
    return Bundle.load(tiny_bundle_folder)


def shortened(values: dict) -> dict:
    return values | {"basket_lines": list(values["basket_lines"])[:-1]}


def unknown(values: dict) -> dict:
    return values | {"basket_revenue": [np.nan] * len(values["basket_revenue"])}


DAMAGES = {"lists that do not belong together": shortened, "a value that makes a score no number": unknown}


def scoring_over(bundle: Bundle, baskets: Rows) -> CustomerScoring:
    return CustomerScoring(bundle, Scorer(bundle), lookup_over(VIEWS, shop() | {"user_baskets": baskets})[0])


@pytest.fixture(params=DAMAGES.values(), ids=DAMAGES)
def damaged(bundle: Bundle, request: pytest.FixtureRequest) -> CustomerScoring:
    """A store in which the baskets of one customer are damaged."""
    baskets = dict(shop()["user_baskets"])
    known, values = baskets[HARMED]
    return scoring_over(bundle, baskets | {HARMED: (known, request.param(dict(values)))})


@pytest.fixture
def without(bundle: Bundle) -> CustomerScoring:
    """A store that knows no baskets of that customer."""
    return scoring_over(bundle, {user: row for user, row in shop()["user_baskets"].items() if user != HARMED})


def states(answer: ScoreResponse) -> dict[str, tuple[str, str | None]]:
    return {name: (view.status, view.reason) for name, view in answer.views.items()}


def test_a_damaged_row_counts_as_missing_and_the_answer_says_so(
    damaged: CustomerScoring, without: CustomerScoring
) -> None:
    request = ScoreRequest(user_id=HARMED, at=AT)
    answer = damaged.answer(request, AT)
    assert states(answer) == {
        "user_profile": ("fresh", None),
        "user_history": ("fresh", None),
        "user_baskets": ("missing", "corrupt"),
    }
    assert answer.views["user_baskets"].age_seconds is None
    assert (answer.degraded, answer.cold_start) == (True, False)
    assert answer.probability == without.answer(request, AT).probability


def test_all_others_of_a_batch_are_unharmed(damaged: CustomerScoring, without: CustomerScoring) -> None:
    scores = damaged.answer_batch(USERS, AT, "0" * 32).scores
    assert [score.user_id for score in scores if score.degraded] == [HARMED]
    assert [score.probability for score in scores] == [
        score.probability for score in without.answer_batch(USERS, AT, "0" * 32).scores
    ]


def test_requests_that_come_together_and_explanations_are_answered_too(damaged: CustomerScoring) -> None:
    answers = damaged.answer_together([ScoreRequest(user_id=user, at=AT) for user in USERS], AT)
    assert [answer.degraded for answer in answers] == [user == HARMED for user in USERS]
    why = damaged.explain(ExplainRequest(user_id=HARMED, at=AT), AT)
    assert why.degraded
    assert why.probability == pytest.approx(answers[USERS.index(HARMED)].probability, abs=1e-6)


def test_answers_are_noted_as_they_were_given(bundle: Bundle) -> None:
    baskets = dict(shop()["user_baskets"])
    known, values = baskets[HARMED]
    noted: list[tuple[Mapping[str, ViewRows], np.ndarray]] = []
    lookup = lookup_over(VIEWS, shop() | {"user_baskets": {HARMED: (known, shortened(dict(values)))}})[0]
    scoring = CustomerScoring(bundle, Scorer(bundle), lookup, note=lambda views, given: noted.append((views, given)))
    answer = scoring.answer(ScoreRequest(user_id=HARMED, at=AT), AT)
    ((views, probability),) = noted  # once, whatever was tried
    assert views["user_baskets"].reason.tolist() == [DAMAGED]
    assert probability.tolist() == [answer.probability]


def items_over(bundle: Path, rows: Mapping[str, Rows]) -> ItemScoring:
    part, views = item_part(Bundle.load(bundle)), views_of(read_views(ITEM_FEATURES), "user_id", "item_id")
    store = DictionaryStore()
    assert part is not None
    for view in views:
        write_rows(store, view, rows[view.name])
    return ItemScoring(part, ItemScorer(part), PackedLookup(PackedReader(store), views))


def test_a_customer_whose_events_are_damaged_gets_a_ranking_of_what_is_known_of_the_items(
    tiny_bundle_folder: Path, tmp_path: Path
) -> None:
    bundle = write_item_bundle(tiny_bundle_folder, tmp_path / "bundle", tmp_path / "members")
    events = events_of(7)
    ((user, (known, lists)),) = events.items()
    backwards = {user: (known, dict(lists) | {"event_at": lists["event_at"][::-1]})}
    damaged = items_over(bundle, {"user_events": backwards, **item_rows()})
    request = RankRequest(user_id=user, item_ids=ITEMS, at=AT)
    ranked, unknown = damaged.rank(request, AT), damaged.rank(request.model_copy(update={"user_id": "nobody"}), AT)
    assert ranked.items == unknown.items
    assert (ranked.views["user_events"].reason, unknown.views["user_events"].reason) == ("corrupt", "absent")
    assert (ranked.degraded, ranked.items_degraded) == (True, 0)
    one = damaged.answer(ScoreRequest(user_id=user, item_id=ITEMS[0], at=AT), AT)
    assert (one.degraded, one.views["item_catalogue"].status) == (True, "fresh")


def rows_of(columns: dict[str, np.ndarray]) -> ViewRows:
    count = len(next(iter(columns.values())))
    return ViewRows(columns, np.full(count, "fresh", object), np.full(count, None), np.zeros(count))


@pytest.mark.parametrize("count", [1, 1000])
def test_one_row_of_many_is_found_by_halves(count: int) -> None:
    values, tries = np.ones(count), 0
    values[count // 3] = np.nan

    def score(views: Mapping[str, ViewRows], rows: np.ndarray) -> None:
        nonlocal tries
        tries += 1
        assert len(rows) == len(views["of each"].status)
        fresh = views["of each"].status == "fresh"
        require_numbers(views["of each"].columns["value"][fresh])

    of_each = rows_of({"value": values})
    views = {"of all": rows_of({"value": np.ones(1)}), "of each": of_each}
    kept = without_damaged(views, count, score, FeatureError("1 of all"))
    assert np.flatnonzero(kept["of each"].reason == DAMAGED).tolist() == [count // 3]
    assert kept["of all"].status.tolist() == ["fresh"]
    assert tries < 30


def test_what_no_row_is_to_blame_for_is_told_as_it_was() -> None:
    def score(views: object, rows: object) -> None:
        raise FeatureError("Features ['x'] are not there")

    error = FeatureError("Features ['x'] are not there")
    with pytest.raises(FeatureError) as caught:
        without_damaged({"view": rows_of({"x": np.ones(3)})}, 3, score, error)
    assert caught.value is error
