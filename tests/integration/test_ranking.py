"""Items as the demo's bundle ranks them: what is served is what the offline join gives at the same moment."""

import json
import shutil
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.streaming.online import OnlineViews
from feature_repo.transforms.columns import columns_of
from intent_stores.packed_sqlite import PackedSqliteFile
from services import loaded_models
from services.batch_contracts import RankRequest, RankResponse
from services.contracts import ExplainRequest, ScoreRequest
from services.event_contracts import EventBody
from services.event_intake import OUTBOX_VARIABLE, open_intake
from services.feature_lookup import read_views, views_of
from services.item_scorer import ItemScorer
from services.item_scoring import ItemScoring
from services.item_shadow import ItemShadow
from services.loaded_models import LoadedModels
from services.metrics import Metrics
from services.model_slots import Slots, write_slots
from services.online_url import VARIABLE, SqliteUrl
from services.packed_lookup import open_lookup
from services.served_log import ServedLog
from services.shadow import ShadowLog
from tests.hostile_bundles import reseal
from training.packaging.bundle import Bundle
from training.packaging.item_part import item_part

pytestmark = pytest.mark.end_to_end
AT = datetime(2001, 3, 1, tzinfo=UTC)
CONFIG = "examples/ta_feng_item.toml"


@pytest.fixture(scope="module")
def part(sample_run) -> Bundle:
    sample_run.run(["make", "bento"])  # whatever a page of the documentation has published since
    found = item_part(Bundle.load(sample_run.out / "bundle"))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def pairs(sample_run) -> dict[str, list[str]]:
    """Eight customers, each with the items that the test period asks about and one that nobody knows."""
    files = sorted((sample_run.out / "ranking" / "dataset" / "test").glob("*.parquet"))
    table = pa.concat_tables([pq.read_table(file, columns=["user_id", "item_id"]) for file in files])
    found: dict[str, list[str]] = {}
    for user, item in zip(table["user_id"].to_pylist(), table["item_id"].to_pylist(), strict=True):
        found.setdefault(user, []).append(item)
    return {user: [*items[:20], "nobody's"] for user, items in list(found.items())[:8]}


@pytest.fixture(scope="module")
def scoring(sample_run, part: Bundle) -> ItemScoring:
    if sample_run.is_on_servers:
        pytest.skip("the online store is not a file here")
    views = views_of(read_views(part.json("features.json")), "user_id", "item_id")
    online = SqliteUrl(sample_run.out / "feast" / "online.db", "purchase_intent")
    return ItemScoring(part, ItemScorer(part), open_lookup(online, views))


def offline(sample_run, part: Bundle, pairs: dict[str, list[str]], folder: Path) -> dict[tuple[str, str], float]:
    users = [user for user, items in pairs.items() for _ in items]
    items = [item for of_user in pairs.values() for item in of_user]
    moments = pa.array([AT] * len(users), pa.timestamp("us", tz="UTC"))
    anchors = {"user_id": users, "item_id": items, "event_timestamp": moments, "split": ["test"] * len(users)}
    pq.write_table(pa.table(anchors), folder / "anchors.parquet")
    run, to = ["--config", CONFIG, "--out", "artifacts/demo/ranking"], str(folder / "joined")
    sample_run.run(["intent", "dataset", "build", "--anchors", str(folder / "anchors.parquet"), "--to", to, *run])
    table = pa.concat_tables([pq.read_table(file) for file in sorted((folder / "joined").rglob("*.parquet"))])
    columns = columns_of(table)
    at_us = columns.pop("event_timestamp").astype(np.int64)
    probability = ItemScorer(part).score(columns, at_us).probability
    return dict(zip(zip(columns["user_id"], columns["item_id"], strict=True), probability.tolist(), strict=True))


def test_a_ranking_is_what_the_offline_join_gives(sample_run, part, pairs, scoring, tmp_path: Path) -> None:
    expected = offline(sample_run, part, pairs, tmp_path)
    assert len(expected) == sum(map(len, pairs.values()))
    for user, items in pairs.items():
        answer = scoring.rank(RankRequest(user_id=user, item_ids=items, at=AT), AT)
        assert sorted(one.item_id for one in answer.items) == sorted(items)
        got = [one.probability for one in answer.items]
        assert got == sorted(got, reverse=True)
        assert got == pytest.approx([expected[user, one.item_id] for one in answer.items], abs=1e-5)
        assert {one.item_id for one in answer.items if not one.known} == {"nobody's"}


def test_what_is_sent_is_the_answer_as_its_model_writes_it(pairs: dict[str, list[str]], scoring: ItemScoring) -> None:
    user, items = next(iter(pairs.items()))
    sent = scoring.rank_json(RankRequest(user_id=user, item_ids=items, at=AT), AT)
    assert RankResponse.model_validate_json(sent).model_dump_json().encode() == sent


def test_one_pair_alone_is_scored_and_explained_the_same(pairs: dict[str, list[str]], scoring: ItemScoring) -> None:
    user, items = next(iter(pairs.items()))
    ranked = scoring.rank(RankRequest(user_id=user, item_ids=items, at=AT, top=1), AT)
    (first,) = ranked.items
    score = scoring.answer(ScoreRequest(user_id=user, item_id=first.item_id, at=AT, reasons=True), AT)
    why = scoring.explain(ExplainRequest(user_id=user, item_id=first.item_id, at=AT), AT)
    assert score.probability == pytest.approx(first.probability, abs=1e-6)
    assert why.base + sum(one.log_odds for one in why.contributions) + why.calibration == pytest.approx(why.log_odds)
    assert 1 / (1 + np.exp(-why.log_odds)) == pytest.approx(score.probability, abs=1e-6)
    assert score.reasons is not None
    assert {"item_catalogue", "item_demand", "user_events"} <= score.views.keys()


def test_a_logged_ranking_is_what_training_would_have_seen(sample_run, part, pairs, scoring, tmp_path: Path) -> None:
    features = part.json("features.json")
    of_part = {view.name: features["views"][view.name] for view in views_of(read_views(features), "user_id", "item_id")}
    log = ServedLog(tmp_path / "served", part.manifest["features"]["service"], of_part)
    online = SqliteUrl(sample_run.out / "feast" / "online.db", "purchase_intent")
    views = views_of(read_views(features), "user_id", "item_id")
    logged = ItemScoring(part, ItemScorer(part), open_lookup(online, views), log)
    for user, items in pairs.items():
        logged.rank(RankRequest(user_id=user, item_ids=items, at=AT), AT)
        logged.answer(ScoreRequest(user_id=user, item_id=items[0], at=AT), AT)
    log.close()
    sample_run.run(["intent", "consistency", "--log", str(tmp_path / "served")])  # exit code 2: they differ
    found = json.loads((sample_run.out / "consistency.json").read_text())
    assert (found["vectors"], found["differing"]) == (sum(map(len, pairs.values())) + len(pairs), 0)
    assert {"item_demand", "item_catalogue", "user_events"} <= found["views"].keys()


def test_a_ranking_has_its_shadow(sample_run, part: Bundle, pairs, scoring: ItemScoring, tmp_path: Path) -> None:
    views = views_of(read_views(part.json("features.json")), "user_id", "item_id")
    online = SqliteUrl(sample_run.out / "feast" / "online.db", "purchase_intent")
    log, metrics = ShadowLog(tmp_path), Metrics()
    keyed = {view.name: view.join_keys for view in views}
    shadow = ItemShadow("challenger:1", ItemScorer(part), open_lookup(online, views), keyed, log, metrics)
    user, items = next(iter(pairs.items()))
    answer = scoring.also_to(shadow).rank(RankRequest(user_id=user, item_ids=items, at=AT), AT)
    scoring.rank(RankRequest(user_id=user, item_ids=items, at=AT), AT)  # without it as before
    shadow.close()
    log.close()
    (file,) = tmp_path.iterdir()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["item_id"] for line in lines] == items
    assert {line["request"] for line in lines} == {answer.request_id}
    assert user not in file.read_text()
    said = {one.item_id: one.probability for one in answer.items}
    for line in lines:
        assert line["probability"] == said[line["item_id"]]
        assert line["challenger_probability"] == pytest.approx(line["probability"], abs=1e-9)
    assert 'intent_shadow_difference_count{challenger="challenger:1 items"}' in metrics.exposition().decode()


def test_the_next_ranking_sees_an_event(sample_run, part: Bundle, scoring: ItemScoring, tmp_path: Path) -> None:
    online = tmp_path / "online.db"
    with (
        closing(sqlite3.connect(sample_run.out / "feast" / "online.db")) as source,
        closing(sqlite3.connect(online)) as copy,
    ):
        source.backup(copy)
    address = SqliteUrl(online, "purchase_intent")
    OnlineViews(PackedSqliteFile(online, "purchase_intent")).begin(0)  # whatever the run's own outbox brought
    intake = open_intake({OUTBOX_VARIABLE: f"sqlite:///{tmp_path}/outbox.db", VARIABLE: address.setting})
    assert intake is not None
    now = datetime.now(UTC)
    event = EventBody(event_id="1", user_id="new", event_type="add_to_cart", event_timestamp=now, item_id="4711")
    views = views_of(read_views(part.json("features.json")), "user_id", "item_id")
    here = ItemScoring(part, ItemScorer(part), open_lookup(address, views))
    asked = RankRequest(user_id="new", item_ids=["4711", "4712"])
    before = here.rank(asked, now)
    receipts, is_online = intake.take([event])
    assert (receipts[0].status, is_online) == ("accepted", True)
    after = here.rank(asked, datetime.now(UTC))
    assert {one.item_id for one in before.items if one.candidate} == set()
    assert {one.item_id for one in after.items if one.candidate} == {"4711"}
    assert (before.cold_start, after.cold_start) == (True, False)


def test_rankings_go_on_while_models_with_an_item_part_are_swapped(
    sample_run, pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sample_run.is_on_servers:
        pytest.skip("the online store is not a file here")
    models, bundle = tmp_path / "home" / "models" / "purchase_intent", sample_run.out / "bundle"
    other = Path(shutil.copytree(bundle, tmp_path / "other"))
    reseal(other, seed=8)
    tags = [Bundle.load(folder).tag for folder in (bundle, other)]
    for tag, folder in zip(tags, (bundle, other), strict=True):
        shutil.copytree(folder, models / tag.split(":")[1] / "bundle")
    monkeypatch.setattr(loaded_models, "_published", lambda: (models, tags[0]))
    online = SqliteUrl(sample_run.out / "feast" / "online.db", "purchase_intent")
    slots = tmp_path / "slots"
    served = LoadedModels({VARIABLE: online.setting, "INTENT_SLOTS": str(slots)})
    served.load()
    assert served.trouble() is None
    user, items = next(iter(pairs.items()))
    asked, by_model = RankRequest(user_id=user, item_ids=items, at=AT), dict.fromkeys(tags, 0)
    probabilities = set()
    for turn in range(8):
        wanted = tags[(turn + 1) % 2]
        write_slots(slots, Slots(champion=wanted))
        deadline = time.monotonic() + 60
        while served.answering.champion.tag != wanted or by_model[wanted] <= turn:
            assert time.monotonic() < deadline
            scoring = served.scoring_for(user)
            assert scoring is not None
            answer = scoring.items.rank(asked, AT)
            by_model[answer.model] += 1
            probabilities.add(tuple(one.probability for one in answer.items))
    served.close()
    assert len(probabilities) == 1
    assert min(by_model.values()) >= 4
