"""Another model for a running service: promoted, refused, tried beside, taken back; and no request fails meanwhile."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from feature_repo.errors import BundleError
from intent_cli.bento_server import Bento, free_port, running
from intent_cli.live_workers import live_reports
from intent_cli.promotion import Promotion
from services.model_slots import Slots, read_slots, write_slots
from services.online_url import SqliteUrl
from tests.hostile_bundles import edit, reseal
from tests.model_store import put
from tests.online_store import PROJECT, write_online_store
from tests.service_load import AT, under_load
from tests.tiny_shop import write_tiny_bundle
from tests.waiting import until
from training.packaging.publish import publish

WORKERS, CONNECTIONS = 2, 4


@dataclass
class Shop:
    """A served bento, the tag it was built with, another good one, and the environment for `intent promote`."""

    address: str
    own: str
    other: str
    home: Path
    slots: Path

    @property
    def models(self) -> Path:
        return self.home / "models" / "purchase_intent"

    def promote(self, *arguments: str, expect: int = 0) -> str:
        environment = os.environ | {"BENTOML_HOME": str(self.home), "INTENT_SLOTS": str(self.slots)}
        command = [sys.executable, "-m", "intent_cli.main", "promote", *arguments]
        command += ["--out", str(self.home / "no-run")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def follow(self, **slots) -> None:
        """What the command does once it has checked the model."""
        promotion = Promotion(self.models, self.slots)
        assert promotion.carry_out(Slots(**slots), 60) == WORKERS

    def model(self) -> dict:
        return httpx.get(f"{self.address}/model", trust_env=False, timeout=10).json()


@pytest.fixture(scope="module")
def shop(tiny_bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("swaps")
    published = publish(tiny_bundle_folder, home=folder / "home")
    other = Path(shutil.copytree(tiny_bundle_folder, folder / "other"))
    reseal(other, seed=8)
    tag = put(other, folder / "home" / "models" / "purchase_intent")
    write_online_store(folder / "online.db")
    bento = Bento(published.bento, published.home, SqliteUrl(folder / "online.db", PROJECT), folder / "slots")
    with running(bento, free_port(), WORKERS, log=folder / "serve.log") as server:
        until(lambda: len(live_reports(folder / "slots")) == WORKERS)
        yield Shop(server.address, published.model, tag, folder / "home", folder / "slots")


def swap(shop: Shop, times: int) -> None:
    with under_load(shop.address, CONNECTIONS) as answers:
        for number in range(times):
            tag = (shop.other, shop.own)[number % 2]
            shop.follow(champion=tag)
            seen = answers.count
            until(lambda: answers.count >= seen + 10 * CONNECTIONS)  # noqa: B023  it is waited for at once
            others = [body for body in answers.bodies[seen:] if body["model"] != tag]
            assert len(others) <= CONNECTIONS  # one a connection was under way, and may come late among the others
    assert answers.load is not None
    assert answers.load.outcomes.counts().keys() == {200}, answers.problems[:3]
    assert {body["model"] for body in answers.bodies} == {shop.own, shop.other}
    assert not any(body["degraded"] for body in answers.bodies)


def test_ten_swaps_under_load_fail_no_request(shop: Shop, record_property) -> None:
    swap(shop, 10)
    record_property("fault", "10 model swaps under load: no request failed")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_hundred_swaps_under_load_fail_no_request(shop: Shop, record_property) -> None:
    swap(shop, 100)
    record_property("fault", "100 model swaps under load: no request failed")


def test_what_is_promoted_is_told_by_the_service(shop: Shop) -> None:
    said = shop.promote(shop.other)
    assert f"said by {WORKERS} workers" in said
    assert f"{shop.other} has no model of items" in said
    told = shop.model()
    assert told["model"] == told["slots"]["champion"] == told["card"]["model"] == shop.other
    assert told["metrics"] == {"roc_auc": 0.75}
    assert told["data_window"] == {"from": "2000-11-01", "to": "2001-02-28"}
    assert told["features"]["user_history"]["fields"]["lifetime_baskets"] == "Float64"
    assert told["features"]["user_profile"]["ttl_seconds"] is None
    assert told["golden_difference"] <= 1e-5
    told = json.loads(shop.promote(shop.own, "--json").splitlines()[0])  # back again, in the same way
    assert told["workers"] == WORKERS
    assert shop.model()["model"] == shop.own


def altered(shop: Shop, folder: Path) -> str:
    """A bundle whose golden examples are those of another model."""
    bundle = Path(shutil.copytree(shop.home / "models" / shop.own.replace(":", "/") / "bundle", folder / "altered"))
    wrong = 0.9 if folder.name == "again" else 0.8
    edit(bundle / "golden.json", lambda golden: golden["probability"].__setitem__(0, wrong))
    reseal(bundle)
    return put(bundle, shop.models)


def other_schema(shop: Shop, folder: Path) -> str:
    """A sound bundle that reads a view by another schema than the store's rows were written by."""
    from tests import tiny_shop

    kept = tiny_shop.FEATURES["views"]["user_profile"]["fields"]
    tiny_shop.FEATURES["views"]["user_profile"]["fields"] = {**kept, "shoe_size": "Float64"}
    try:
        return put(write_tiny_bundle(folder / "schema", folder / "members"), shop.models)
    finally:
        tiny_shop.FEATURES["views"]["user_profile"]["fields"] = kept


def test_what_is_not_sound_is_refused_and_the_old_one_goes_on(shop: Shop, tmp_path: Path) -> None:
    shop.follow(champion=shop.own)
    assert "not reproduced" in shop.promote(altered(shop, tmp_path), expect=1)
    for tag, why in (
        (altered(shop, tmp_path / "again"), "not reproduced"),
        (other_schema(shop, tmp_path), "user_prof"),
    ):
        with pytest.raises(BundleError, match=f"goes on as before.*{why}"):
            shop.follow(champion=tag)
        assert read_slots(shop.slots).champion == shop.own
    assert "malformed" in shop.promote("purchase_intent:latest", expect=1)
    shop.follow(champion=shop.own)
    assert shop.model()["slots"] == {
        "champion": shop.own, "challenger": None, "challenger_share": 0.0, "shadow": False, "refused": {}
    }  # fmt: skip


def test_a_worker_that_is_stopped_is_waited_for_and_the_slots_are_put_back(shop: Shop) -> None:
    shop.follow(champion=shop.own)
    stopped = int(live_reports(shop.slots)[0].worker.rpartition("-")[2])
    os.kill(stopped, signal.SIGSTOP)
    try:
        # Longer than a report lasts that is not renewed: silence is not consent.
        said = shop.promote(shop.other, "--wait", "12", expect=3)
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert f"Of {WORKERS} workers 1 did not say within 12 s" in " ".join(said.split())
    assert read_slots(shop.slots).champion == shop.own
    shop.follow(champion=shop.other)
    shop.follow(champion=shop.own)


def test_slots_that_cannot_be_followed_are_told_by_every_worker(shop: Shop) -> None:
    """Slots that somebody wrote without the command, which would have put the old ones back."""
    shop.follow(champion=shop.own)
    wanted = write_slots(shop.slots, Slots(champion="purchase_intent:0123456789abcdef"))
    until(lambda: {report.generation for report in live_reports(shop.slots)} == {wanted.generation})
    reports = live_reports(shop.slots)
    assert [report.champion for report in reports] == [shop.own] * WORKERS
    assert all("not in the store" in report.refused["champion"] for report in reports)
    ready = httpx.get(f"{shop.address}/readyz", trust_env=False)
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert "not in the store" in ready.json()["why"][0]
    shop.follow(champion=shop.own)
    assert httpx.get(f"{shop.address}/readyz", trust_env=False).json() == {"status": "ready", "why": []}


def test_a_challenger_answers_its_share_and_the_same_customers_every_time(shop: Shop) -> None:
    shop.follow(champion=shop.own)
    shop.promote(shop.other, "--alias", "challenger", "--share", "0.5")
    slots = Slots(challenger=shop.other, challenger_share=0.5)
    with httpx.Client(base_url=shop.address, trust_env=False) as client:
        for number in range(1, 40):
            body = {"user_id": f"{number:08d}", "at": AT}
            expected = shop.other if slots.answered_by_challenger(body["user_id"]) else shop.own
            assert client.post("/score", json=body).json()["model"] == expected
    told = shop.model()["slots"]
    assert (told["challenger"], told["challenger_share"]) == (shop.other, 0.5)


def test_a_shadow_scores_the_same_requests_and_both_are_logged(shop: Shop) -> None:
    shop.follow(champion=shop.own, challenger=shop.other, shadow=True)

    def logged() -> str:
        return "".join(path.read_text() for path in (shop.slots / "shadow").glob("*.jsonl"))

    asked = {}
    with httpx.Client(base_url=shop.address, trust_env=False) as client:
        for number in range(1, 9):
            answer = client.post("/score", json={"user_id": f"{number:08d}", "at": AT}).json()
            assert answer["model"] == shop.own
            asked[answer["request_id"]] = answer["probability"]
    until(lambda: logged().count("\n") >= len(asked))
    text = logged()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["request"]: line["probability"] for line in lines} == asked
    assert {(line["champion"], line["challenger"]) for line in lines} == {(shop.own, shop.other)}
    assert all(abs(line["challenger_probability"] - line["probability"]) < 1e-9 for line in lines)
    assert all(f'"{number:08d}"' not in text for number in range(1, 9))  # no customer's id
    assert all(path.stat().st_mode & 0o077 == 0 for path in (shop.slots / "shadow").glob("*.jsonl"))


def test_the_metrics_tell_what_an_operator_needs_and_no_customer(shop: Shop) -> None:
    shop.follow(champion=shop.own)
    unmistakable = "customer-4711-unmistakable"
    with httpx.Client(base_url=shop.address, trust_env=False) as client:
        client.post("/score", json={"user_id": unmistakable, "at": AT})
        client.post("/score", json={"user_id": "00000005", "at": AT})
        client.get(f"/score/{unmistakable}")
        client.post("/score", content=f'{{"user_id": "{unmistakable}", "{unmistakable}": 1}}')
        answer = client.get("/metrics")
    text = answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    assert unmistakable not in text
    assert "00000005" not in text
    for name in (
        'intent_request_seconds_count{route="/score",status="200"}',
        'intent_request_seconds_count{route="other",status="404"}',
        'intent_stage_seconds_bucket{le="0.001",stage="lookup"}',
        'intent_stage_seconds_count{stage="features"}',
        'intent_stage_seconds_count{stage="models"}',
        'intent_view_age_seconds_count{view="user_history"}',
        'intent_view_rows_total{reason="absent",status="missing",view="user_history"}',
        'intent_view_rows_total{reason="",status="fresh",view="user_history"}',
        f'intent_probability_count{{model="{shop.own}"}}',
        f'intent_model_info{{model="{shop.own}",slot="champion"}} 1.0',
        "intent_store_circuit_open 0.0",
        "intent_ready 1.0",
    ):
        assert name in text, name
