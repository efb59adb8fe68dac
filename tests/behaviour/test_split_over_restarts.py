"""A split between two models: whoever a customer was answered by answers again after a restart, in every worker."""

import shutil
from pathlib import Path

import httpx

from intent_cli.bento_server import Bento, free_port, running
from services.model_slots import Slots, write_slots
from services.online_url import SqliteUrl
from tests.hostile_bundles import reseal
from tests.online_store import PROJECT, write_online_store
from tests.service_load import AT
from training.packaging.bundle import Bundle
from training.packaging.publish import publish

USERS = [f"{number:08d}" for number in range(1, 61)]


def answered_by(bento: Bento, workers: int, log: Path) -> dict[str, str]:
    """Start the service, ask about each customer on a connection of its own, and return customer → model."""
    found = {}
    with running(bento, free_port(), workers, log=log) as server:
        for user in USERS:
            body = {"user_id": user, "at": AT}
            answer = httpx.post(f"{server.address}/score", json=body, timeout=20, trust_env=False)
            assert answer.status_code == 200, answer.text
            found[user] = answer.json()["model"]
    return found


def test_a_customer_stays_with_a_model_over_restarts(tiny_bundle_folder: Path, tmp_path: Path) -> None:
    published = publish(tiny_bundle_folder, home=tmp_path / "home")
    other = Path(shutil.copytree(tiny_bundle_folder, tmp_path / "other"))
    reseal(other, seed=8)
    tag = Bundle.load(other).tag
    shutil.copytree(other, tmp_path / "home" / "models" / tag.replace(":", "/") / "bundle")
    write_online_store(tmp_path / "online.db")
    bento = Bento(published.bento, published.home, SqliteUrl(tmp_path / "online.db", PROJECT), tmp_path / "slots")
    write_slots(tmp_path / "slots", Slots(challenger=tag, challenger_share=0.3))
    first = answered_by(bento, 1, tmp_path / "first.log")
    second = answered_by(bento, 2, tmp_path / "second.log")
    assert set(first.values()) == {published.model, tag}
    assert second == first
    write_slots(tmp_path / "slots", Slots(challenger=tag, challenger_share=0.6))
    more = answered_by(bento, 1, tmp_path / "more.log")
    with_challenger = {user for user, model in first.items() if model == tag}
    assert with_challenger < {user for user, model in more.items() if model == tag}  # a greater share keeps them
