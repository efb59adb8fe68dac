"""Profiles: the default stands on files of the run, others on servers that the environment names."""

from pathlib import Path

import pytest

from feature_repo.errors import SettingsError
from training.pipelines.profiles import VARIABLE, store_settings, uses_files

ADDRESSES = {
    "INTENT_REGISTRY_URL": "postgresql+psycopg://me:se#cret@db:5432/shop?options=-csearch_path%3Dintent",
    "INTENT_REDIS_URL": "rediss://:s: x@redis:6379/0",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch) -> None:
    for name in (VARIABLE, *ADDRESSES):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("named", [None, "", "local"])
def test_the_default_lies_in_the_runs_folder(named, monkeypatch, tmp_path) -> None:
    if named is not None:
        monkeypatch.setenv(VARIABLE, named)
    settings = store_settings(tmp_path)
    assert settings["project"] == "purchase_intent"
    assert settings["registry"]["path"] == f"sqlite:///{tmp_path}/feast/registry.db"
    assert settings["online_store"]["path"] == f"{tmp_path}/feast/online.db"
    assert uses_files(settings)
    replay = store_settings(tmp_path, tmp_path / "other.db", "replay")
    assert replay["project"] == "replay"
    assert replay["registry"]["path"].endswith("registry_replay.db")
    assert replay["online_store"]["path"] == f"{tmp_path}/other.db"


def test_production_takes_its_addresses_as_they_are(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv(VARIABLE, "production")
    for name, value in ADDRESSES.items():
        monkeypatch.setenv(name, value)
    settings = store_settings(tmp_path, project="replay")
    assert settings["registry"]["path"] == settings["batch_engine"]["ledger"] == ADDRESSES["INTENT_REGISTRY_URL"]
    assert settings["online_store"]["url"] == ADDRESSES["INTENT_REDIS_URL"]
    assert settings["project"] == "replay"
    assert not uses_files(settings)


def test_what_is_made_up_touches_no_server(monkeypatch, tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "project: shop\nregistry: {path: postgresql://db/shop}\nonline_store: {url: redis://redis}\n"
        "offline_store: {type: mine.Store}\nbatch_engine: {type: local}\n"
    )
    monkeypatch.setenv(VARIABLE, str(path))
    settings = store_settings(tmp_path, scratch=True)
    assert settings["registry"]["path"] == f"sqlite:///{tmp_path}/feast/registry.db"
    assert settings["online_store"]["path"] == f"{tmp_path}/feast/online.db"
    assert settings["batch_engine"]["ledger"] == f"sqlite:///{tmp_path}/feast/materialization.db"
    assert settings["offline_store"] == {"type": "mine.Store"}
    assert "postgresql" not in str(settings)
    assert "redis" not in str(settings)


def test_a_profile_of_ones_own(monkeypatch, tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("project: mine\nregistry: {path: sqlite:///r.db}\nonline_store: {path: o.db}\n")
    monkeypatch.setenv(VARIABLE, str(path))
    assert store_settings(tmp_path)["project"] == "mine"


def test_what_cannot_be_used_is_said(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv(VARIABLE, "production")
    monkeypatch.setenv("INTENT_REDIS_URL", "redis://:secret@redis")
    with pytest.raises(SettingsError, match="INTENT_REGISTRY_URL, not set") as refused:
        store_settings(tmp_path)
    assert "secret" not in str(refused.value)
    monkeypatch.setenv(VARIABLE, "staging")
    with pytest.raises(SettingsError, match=r"'staging'; expected local, production"):
        store_settings(tmp_path)
    for text, said in [("[1, 2]", "holds no project"), ("a: [", "cannot be read"), (None, "cannot be read")]:
        path = Path(tmp_path / "bad.yaml")
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
        monkeypatch.setenv(VARIABLE, str(path))
        with pytest.raises(SettingsError, match=said):
            store_settings(tmp_path)
