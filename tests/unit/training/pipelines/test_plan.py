"""`intent plan`: views added, changed and deleted, with the online rows that this costs; nothing is changed by it."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from feast import Field
from feast.types import Float64, String

from feature_repo import definitions as repository
from intent_cli.main import run
from tests.small_shop import make_run
from training.dataset.log_manifest import hash_log, write_log_manifest
from training.pipelines import feature_store
from training.progress import Silent

END = datetime(2001, 3, 1, tzinfo=UTC)
CUSTOMERS = 20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = make_run(tmp_path_factory.mktemp("plan") / "run", CUSTOMERS)
    write_log_manifest(out, hash_log(out), {})
    feature_store.materialise(out, END, Silent(), online=feature_store.online_path(out))
    return out


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "run")


def planned(out: Path, capsys) -> dict:
    assert run(["plan", "--out", str(out), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def defined_otherwise(monkeypatch, *, without: str | None = None, fields: list[Field] | None = None) -> None:
    """Definitions without a view, or with other fields of `user_profile`; what is built on either goes too."""
    original = repository.definitions

    def changed(root: str) -> dict:
        found = original(root)
        if without:
            del found[without]
        if fields:
            found["user_profile"].features = fields
        return {name: each for name, each in found.items() if name not in ("customer_activity", "user_item_affinity")}

    monkeypatch.setattr(repository, "definitions", changed)


def test_nothing_to_do(out, capsys) -> None:
    found = planned(out, capsys)
    assert (found["added"], found["deleted"], found["changed"]) == ([], {}, {})
    assert found["unchanged"] > 6
    assert run(["plan", "--out", str(out)]) == 0
    assert capsys.readouterr().out.startswith("plan: nothing to do")


def test_everything_is_new_where_nothing_is_registered(tmp_path, capsys) -> None:
    assert "user_profile" in planned(tmp_path / "none", capsys)["added"]
    assert not (tmp_path / "none" / "feast" / "registry.db").exists()


def test_what_goes_and_what_cannot_be_read(out, capsys, monkeypatch) -> None:
    before = {path: path.read_bytes() for path in (out / "feast").glob("*.db")}
    fields = [Field(name="area", dtype=Float64), Field(name="new", dtype=String)]
    defined_otherwise(monkeypatch, without="item_demand", fields=fields)
    found = planned(out, capsys)
    assert found["added"] == []
    assert found["deleted"]["item_demand"] == 50
    assert found["deleted"]["user_item_affinity"] == 0
    change = found["changed"]["user_profile"]
    assert change["added"] == {"new": "String"}
    assert change["retyped"] == {"area": ["String", "Float64"]}
    assert change["removed"]
    assert change["rows_missing"] == CUSTOMERS
    assert {path: path.read_bytes() for path in (out / "feast").glob("*.db")} == before
    assert run(["plan", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "- item_demand: 50 online rows would be deleted" in said
    assert f"~ user_profile: {CUSTOMERS} online rows cannot be read until it is materialised" in said
    assert "~ area: String → Float64" in said


def test_applying_does_what_was_planned(out, capsys, monkeypatch) -> None:
    defined_otherwise(monkeypatch, without="item_demand")
    feature_store.apply(feature_store.open_store(out), out)
    assert planned(out, capsys)["deleted"] == {}
    store = feature_store.open_store(out)
    assert "item_demand" not in [view.name for view in store.list_feature_views()]
    packed = store._get_provider().online_store.packed_store(store.config)
    assert packed.count("item_demand") == 0
    assert packed.count("user_profile") == CUSTOMERS
    monkeypatch.undo()
    assert "item_demand" in planned(out, capsys)["added"]
