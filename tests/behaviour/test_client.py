"""The typed client against a served bento: every method, and what its answers say to each other."""

import json
import math
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from feature_repo.errors import RequestError
from intent_cli.server_process import ServerProcess
from services.client import IntentClient
from services.contracts import ExplainResponse, RequestContext
from services.event_contracts import EventBody, Outcome
from tests.tiny_items import ITEM_HORIZON_DAYS, ITEM_MEMBERS, ITEMS
from tests.tiny_shop import AT

pytestmark = pytest.mark.xdist_group("the open server")

USER, MET = "00000001", "2"
"""A customer, and the only item that this one had to do with."""


@pytest.fixture
def client(open_server: ServerProcess) -> Iterator[IntentClient]:
    with IntentClient(open_server.address) as client:
        yield client


def added_up(why: ExplainResponse) -> float:
    total = why.base + sum(one.log_odds for one in why.contributions) + why.calibration
    return 1 / (1 + math.exp(-total))


def test_a_service_that_is_ready_has_no_trouble(client: IntentClient) -> None:
    assert client.trouble() is None
    assert client.model()["model"] == client.score(USER, AT).model


def test_items_come_by_falling_probability_the_one_the_customer_met_first(client: IntentClient) -> None:
    answer = client.rank(USER, [*ITEMS, "nobody's"], AT)
    found = [one.probability for one in answer.items]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == len(ITEMS) + 1
    assert [one.item_id for one in answer.items] == [MET, "6", "5", "4", "3", "1", "nobody's"]
    assert {one.item_id for one in answer.items if one.candidate} == {MET}
    assert {one.item_id for one in answer.items if not one.known} == {"nobody's"}
    assert (answer.cold_start, answer.degraded, answer.items_degraded) == (False, False, 0)
    assert (answer.horizon_days, answer.at) == (ITEM_HORIZON_DAYS, AT)


def test_the_top_of_a_ranking_is_its_beginning(client: IntentClient) -> None:
    whole, top = client.rank(USER, ITEMS, AT), client.rank(USER, ITEMS, AT, top=3)
    assert top.items == whole.items[:3]
    assert client.rank(USER, ITEMS, AT, top=500).items == whole.items


def test_one_item_is_scored_and_explained_as_it_is_ranked(client: IntentClient) -> None:
    (ranked,) = client.rank(USER, ITEMS, AT, top=1).items
    score = client.score(USER, AT, item_id=MET, reasons=True)
    why = client.explain(USER, AT, item_id=MET)
    assert (ranked.item_id, tuple(score.members)) == (MET, ITEM_MEMBERS)
    assert score.probability == pytest.approx(ranked.probability, abs=1e-6)
    assert added_up(why) == pytest.approx(score.probability, abs=1e-6)
    assert score.reasons == [one for one in why.contributions if one.log_odds][:5]
    assert set(score.views) == {"user_events", "item_catalogue", "item_demand"}
    assert score.horizon_days == why.horizon_days == ITEM_HORIZON_DAYS


def test_a_customer_is_scored_alone_among_others_and_with_reasons_the_same(client: IntentClient) -> None:
    alone = client.score("00000005", AT, RequestContext(channel="web", session_seconds=1.5))
    batch = client.score_batch(["nobody", "00000005"], AT)
    why = client.explain("00000005", AT)
    assert [one.user_id for one in batch.scores] == ["nobody", "00000005"]
    assert [one.cold_start for one in batch.scores] == [True, False]
    assert batch.scores[1].probability == pytest.approx(alone.probability, abs=1e-6)
    assert batch.scores[1].members.keys() == alone.members.keys()
    assert added_up(why) == pytest.approx(alone.probability, abs=1e-6)
    assert client.score("00000005", AT).probability == alone.probability  # the context changes nothing


def test_the_next_answer_about_items_sees_an_event(client: IntentClient) -> None:
    user = f"customer-{uuid.uuid4()}"
    met = EventBody(
        event_id=f"{user}-1", user_id=user, event_type="add_to_cart", event_timestamp=datetime.now(UTC), item_id="1"
    )
    ahead = met.model_copy(
        update={"event_id": f"{user}-2", "event_timestamp": datetime.now(UTC) + timedelta(days=2), "item_id": "2"}
    )
    before, score_before = client.rank(user, ITEMS), client.score(user, item_id="1")
    taken = client.events([met, ahead])
    assert [(one.event_id, one.status, one.reason) for one in taken.receipts] == [
        (met.event_id, "accepted", None),
        (ahead.event_id, "quarantined", "from_the_future"),
    ]
    assert taken.online
    after, score_after = client.rank(user, ITEMS), client.score(user, item_id="1")
    assert (before.cold_start, after.cold_start) == (True, False)
    assert [one.item_id for one in before.items] == ["6", "5", "4", "3", "2", "1"]
    assert [one.item_id for one in after.items] == ["1", "6", "5", "4", "3", "2"]
    assert {one.item_id for one in after.items if one.candidate} == {"1"}
    assert score_after.probability > score_before.probability
    again = client.events([met])
    assert [(one.status, one.seq) for one in again.receipts] == [("repeated", taken.receipts[0].seq)]
    assert client.score(user, item_id="1").views["user_events"].status == "fresh"


def test_feedback_stands_in_the_served_logs_folder(client: IntentClient, open_server: ServerProcess) -> None:
    ranking = client.rank(USER, ITEMS, AT)
    given = [
        Outcome(request_id=ranking.request_id, user_id=USER, item_id=item, bought=item == MET, at=AT) for item in ITEMS
    ]
    answer = client.feedback(given)
    assert answer.accepted == len(ITEMS)
    folder: Path = open_server.folder  # type: ignore[attr-defined]
    lines = [line for path in (folder / "served").glob("feedback-*.jsonl") for line in path.read_text().splitlines()]
    found = [one for one in map(json.loads, lines) if one["request"] == ranking.request_id]
    assert [(one["item_id"], one["bought"]) for one in found] == [(item, item == MET) for item in ITEMS]
    assert {one["at"] for one in found} == {int(AT.timestamp()) * 1_000_000}
    assert not any(USER in line for line in lines if ranking.request_id in line)  # a pseudonym


def test_what_the_service_refuses_is_told_in_its_words(client: IntentClient) -> None:
    late = datetime.now(UTC) + timedelta(days=3)
    with pytest.raises(RequestError, match="more than 1 day in the future"):
        client.rank(USER, ITEMS, late)
    assert client.score(USER, AT).probability > 0  # and the connection goes on
