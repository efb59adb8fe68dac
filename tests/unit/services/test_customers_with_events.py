"""Models of customers that read events of all kinds: what a customer does now counts in the next answer."""

import asyncio
import gzip
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from feature_repo.errors import BundleError
from feature_repo.transforms.calendar import Calendar
from feature_repo.transforms.feature_sets import customer_event_features
from services.contracts import ExplainRequest, ScoreRequest
from services.customer_scoring import CustomerScoring
from services.event_intake import OUTBOX_VARIABLE
from services.feature_lookup import read_views
from services.golden_check import check_golden, examples
from services.hashed_ids import KEY_VARIABLE
from services.online_url import VARIABLE
from services.scoring import Scorer
from services.served_log import FOLDER_VARIABLE, SAMPLE_VARIABLE
from tests.online_store import lookup_over, write_online_store
from tests.served_here import publish_here, served
from tests.tiny_events import EVENT_FEATURES, HORIZON_DAYS, HOW, customer_columns, write_event_bundle, write_members
from tests.tiny_items import write_item_store
from tests.tiny_networks import CUSTOMERS, NETWORKS, SHOP, SMALL
from tests.tiny_shop import AT
from training.dataset.examples import Examples
from training.models import member
from training.models.contract import FitSettings
from training.packaging.bundle import Bundle


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("customers_with_events")
    return write_event_bundle(folder / "bundle", folder / "members")


@pytest.fixture
def place(bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the model, and a store that is ready for events."""
    publish_here(bundle_folder, tmp_path / "home", monkeypatch)
    monkeypatch.setenv(VARIABLE, write_online_store(tmp_path / "online.db"))
    write_item_store(tmp_path / "online.db")
    monkeypatch.setenv(OUTBOX_VARIABLE, f"sqlite:///{tmp_path}/outbox.db")
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    return tmp_path


def told(*asked: tuple[str, Any]) -> list[dict]:
    """The service's answers to requests, one after the other."""

    async def main() -> list[httpx.Response]:
        async with served() as client:
            return [await client.post(path, json=body) for path, body in asked]

    answers = asyncio.run(main())
    assert [answer.status_code for answer in answers] == [200] * len(asked)
    return [answer.json() for answer in answers]


@pytest.mark.usefixtures("place")
def test_the_next_score_sees_an_event() -> None:
    user = f"customer-{uuid.uuid4()}"
    event = {"event_id": user, "user_id": user, "event_type": "add_to_cart", "item_id": "1"}
    event["event_timestamp"] = datetime.now(UTC).isoformat()
    before, taken, after, batch, why = told(
        ("/score", {"user_id": user}),
        ("/events", {"events": [event]}),
        ("/score", {"user_id": user, "reasons": True}),
        ("/score_batch", {"user_ids": [user, "nobody"]}),
        ("/explain", {"user_id": user}),
    )
    assert taken["online"]
    assert (before["cold_start"], after["cold_start"]) == (True, False)
    assert after["views"]["user_events"]["status"] == "fresh"
    assert after["probability"] > before["probability"] + 0.1
    assert [one["probability"] for one in batch["scores"]] == pytest.approx(
        [after["probability"], before["probability"]], abs=1e-6
    )
    assert "add_to_cart_count_1h" in {one["feature"] for one in after["reasons"]}
    added = why["base"] + sum(one["log_odds"] for one in why["contributions"]) + why["calibration"]
    assert 1 / (1 + np.exp(-added)) == pytest.approx(after["probability"], abs=1e-6)
    assert after["horizon_days"] == HORIZON_DAYS


def test_what_is_logged_are_the_views_that_were_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(place / "served"))
    monkeypatch.setenv(SAMPLE_VARIABLE, "1")
    monkeypatch.setenv(KEY_VARIABLE, "a key of this test alone")
    (answer,) = told(("/score", {"user_id": "00000003", "at": f"{AT:%Y-%m-%dT%H:%M:%SZ}"}))
    (part,) = (place / "served").glob("served-*")
    header, line = map(json.loads, gzip.decompress(part.read_bytes()).splitlines())
    assert (header["service"], set(header["views"])) == ("customer_events", {"user_events"})
    assert line["probability"] == answer["probability"]
    assert set(line["views"]) == {"user_events"}


def test_the_calendar_is_that_of_the_shop(bundle_folder: Path) -> None:
    bundle = Bundle.load(bundle_folder)
    columns, at_us = examples(bundle)
    served_hour, shop_hour, utc_hour = (
        made.numeric["local_hour"].tolist()
        for made in (
            Scorer(bundle).features(columns, at_us),
            customer_event_features(columns, at_us, Calendar("Asia/Shanghai")),
            customer_event_features(columns, at_us),
        )
    )
    assert served_hour == shop_hour != utc_hour


@pytest.mark.parametrize(
    "how",
    [
        HOW | {"service": "item_ranking"},
        HOW | {"service": "somebody's own"},
        {"service": "customer_events"},
        HOW | {"calendar": None},
        HOW | {"calendar": {"zone": "UTC"}},
    ],
)
def test_features_of_another_kind_are_refused(how: dict, tmp_path: Path) -> None:
    bundle = Bundle.load(write_event_bundle(tmp_path / "bundle", tmp_path / "members", how))
    with pytest.raises(BundleError, match=r"how the features .*customer_events.* Publish"):
        Scorer(bundle)


def test_networks_over_events_answer_about_a_customer_as_in_training(tmp_path: Path) -> None:
    columns, at_us = customer_columns(SHOP)
    features = customer_event_features(columns, at_us)
    label = (np.random.default_rng(0).random(CUSTOMERS) < 0.4).astype(np.int8)
    users = np.array([f"{number:08d}" for number in range(1, CUSTOMERS + 1)], object)
    trained = {}
    for name in (one for one in NETWORKS if member(one).needs_sequence):
        fitted = member(name).fit(
            Examples(users, at_us, label, features), None, FitSettings(HORIZON_DAYS, 3, parameters=SMALL)
        )
        fitted.export(tmp_path / "members" / name)
        trained[name] = fitted.predict_proba(features)
        assert np.ptp(trained[name]) > 1e-3, name  # it tells customers apart: the comparison says something
    how = HOW | {"calendar": Calendar().to_json()}
    bundle = Bundle.load(write_members(tmp_path / "bundle", tmp_path / "members", columns, at_us, trained, how))
    scorer = Scorer(bundle)
    assert check_golden(bundle, scorer) <= 1e-5
    rows = {"user_events": {user: row for part in SHOP for user, row in part.items()}}
    scoring = CustomerScoring(bundle, scorer, lookup_over(read_views(EVENT_FEATURES), rows)[0])
    for row, user in enumerate(users):
        answer = scoring.answer(ScoreRequest(user_id=user, at=AT), AT)
        assert not answer.degraded
        for name, expected in trained.items():
            assert answer.members[name].probability == pytest.approx(expected[row], abs=1e-5)
    why = scoring.explain(ExplainRequest(user_id=users[11], at=AT), AT)
    assert why.base + sum(one.log_odds for one in why.contributions) + why.calibration == pytest.approx(why.log_odds)
