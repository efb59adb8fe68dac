"""What publishing finds in the store, without BentoML: the whole path is in tests/behaviour/test_score_api.py."""

from pathlib import Path

import pytest

from feature_repo.errors import BundleError, InputError
from training.packaging import publish as publishing
from training.packaging.bundle import Bundle
from training.packaging.publish import PROJECT, bentoml_environment, bentoml_home, publish


def put(bundle: Bundle, home: Path) -> Path:
    stored = home / "models" / bundle.tag.replace(":", "/")
    for name, data in (dict(bundle.files) | {"manifest.json": bundle.manifest_bytes}).items():
        (stored / "bundle" / name).parent.mkdir(parents=True, exist_ok=True)
        (stored / "bundle" / name).write_bytes(data)
    (stored / "model.yaml").write_text("")
    return stored


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    tags: list[str] = []
    monkeypatch.setattr(publishing, "_create_model", lambda bundle, home: (tags.append(bundle.tag), put(bundle, home)))
    return tags


def test_a_model_is_put_once(tiny_bundle_folder: Path, tmp_path: Path, created: list[str]) -> None:
    bundle = Bundle.load(tiny_bundle_folder)
    assert publishing._store_model(bundle, tmp_path)
    assert not publishing._store_model(bundle, tmp_path)
    assert created == [bundle.tag]
    assert (tmp_path / "models/purchase_intent/latest").read_text() == bundle.digest[:16]


def test_what_a_killed_publication_left_is_put_again(
    tiny_bundle_folder: Path, tmp_path: Path, created: list[str]
) -> None:
    bundle = Bundle.load(tiny_bundle_folder)
    stored = put(bundle, tmp_path)
    (stored / "bundle" / "golden.json").unlink()
    assert publishing._store_model(bundle, tmp_path)
    assert Bundle.load(stored / "bundle").digest == bundle.digest


def test_a_bento_with_a_changed_or_missing_source_is_not_whole(tmp_path: Path) -> None:
    sources = {"services/scoring.py": b"x = 1\n", "bentofile.yaml": b"", "requirements/serving.txt": b""}
    made = ("bento.yaml", "apis/openapi.yaml", "env/python/requirements.txt", "env/docker/Dockerfile")
    for name in (*made, "src/services/scoring.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x = 1\n")
    assert publishing._is_whole_bento(tmp_path, sources)
    (tmp_path / "src/services/scoring.py").write_bytes(b"x = 2\n")
    assert not publishing._is_whole_bento(tmp_path, sources)


def test_the_bento_is_named_by_its_content(tmp_path: Path) -> None:
    one = publishing._staged(PROJECT, tmp_path / "one", "purchase_intent:1111")
    two = publishing._staged(PROJECT, tmp_path / "two", "purchase_intent:2222")
    assert publishing._content_version(one) != publishing._content_version(two)
    assert publishing._content_version(one) == publishing._content_version(dict(reversed(one.items())))
    assert {name.split("/")[0] for name in one} == {
        "bentofile.yaml",
        "feature_repo",
        "intent_stores",
        "requirements",
        "services",
        "training",
    }


def test_a_bundle_that_is_not_whole_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        publish(tmp_path / "nothing", home=tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_a_folder_without_a_bentofile_is_told(tiny_bundle_folder: Path, tmp_path: Path, created: list[str]) -> None:
    with pytest.raises(InputError, match=r"bentofile.yaml .* missing"):
        publish(tiny_bundle_folder, home=tmp_path / "home", project=tmp_path)


def test_home_is_beside_the_results_unless_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENTOML_HOME", raising=False)
    assert bentoml_home() == tmp_path / "artifacts" / "bentoml"
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "there"))
    assert bentoml_home() == tmp_path / "there"
    assert bentoml_environment(tmp_path)["BENTOML_DO_NOT_TRACK"] == "True"
