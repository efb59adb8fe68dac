import json
import shutil
from pathlib import Path

import pytest

from feature_repo.errors import BundleError
from training.packaging.bundle import Bundle
from training.packaging.model_card import model_card, model_card_markdown


@pytest.fixture
def bundle(tiny_bundle_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle_folder, tmp_path / "bundle"))


def edit_manifest(bundle: Path, **changes) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | changes))


def test_a_written_bundle_loads_and_takes_only_what_serving_needs(bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    assert loaded.horizon_days == 7
    assert loaded.tag == f"purchase_intent:{loaded.digest[:16]}"
    assert "members/recency/training_log.csv" not in loaded.files
    description, artefact = loaded.member("boosted_trees")
    assert description["runtime"] == "xgboost"
    assert artefact == (bundle / "members/boosted_trees/model.ubj").read_bytes()


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path, bundle: Path) -> None:
    from tests.tiny_shop import write_tiny_bundle

    again = write_tiny_bundle(tmp_path / "again", tmp_path / "members")
    assert Bundle.load(again).digest == Bundle.load(bundle).digest


def test_every_flipped_byte_is_found(bundle: Path) -> None:
    before = Bundle.load(bundle)
    for name in before.files:
        file = bundle / name
        kept = file.read_bytes()
        file.write_bytes(kept[:-2] + bytes([kept[-2] ^ 1]) + kept[-1:])
        with pytest.raises(BundleError, match="was altered"):
            Bundle.load(bundle)
        file.write_bytes(kept)
    edit_manifest(bundle, seed=8)
    assert Bundle.load(bundle).tag != before.tag  # a manifest cannot vouch for itself: its hash is the tag


def test_a_truncated_file_is_found(bundle: Path) -> None:
    file = bundle / "members/recency/model.onnx"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(BundleError, match="was altered"):
        Bundle.load(bundle)


def test_a_missing_file_is_named(bundle: Path) -> None:
    (bundle / "golden.json").unlink()
    with pytest.raises(BundleError, match=r"missing \['golden.json'\]"):
        Bundle.load(bundle)


def test_an_extra_file_is_named(bundle: Path) -> None:
    (bundle / "members" / "model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(BundleError, match=r"extra \['members/model.pkl'\]"):
        Bundle.load(bundle)


def test_links_are_refused_wherever_they_lead(bundle: Path, tmp_path: Path) -> None:
    kept = tmp_path / "elsewhere.json"
    (bundle / "golden.json").rename(kept)
    (bundle / "golden.json").symlink_to(kept)
    with pytest.raises(BundleError, match="not a plain file"):
        Bundle.load(bundle)
    (bundle / "golden.json").unlink()
    shutil.copy(kept, bundle / "golden.json")
    (bundle / "more").symlink_to(tmp_path)
    with pytest.raises(BundleError, match="not a plain file"):
        Bundle.load(bundle)


@pytest.mark.parametrize(
    "name",
    ["../secret.json", "/etc/passwd.json", "a/../../b.json", "members//x.json", "model.pkl", "a\\b.json", "./x.json"],
)
def test_a_manifest_that_names_what_no_bundle_holds_is_refused(bundle: Path, name: str) -> None:
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    edit_manifest(bundle, files=files | {name: "0" * 64})
    with pytest.raises(BundleError, match="names a file that no bundle holds"):
        Bundle.load(bundle)


@pytest.mark.parametrize("change", [{"format": 2}, {"format": None}, {"model": "another"}])
def test_an_unknown_format_is_refused(bundle: Path, change: dict) -> None:
    edit_manifest(bundle, **change)
    with pytest.raises(BundleError, match="format is not known"):
        Bundle.load(bundle)


@pytest.mark.parametrize(
    "change",
    [{"files": []}, {"files": {}}, {"files": {"golden.json": "short"}}, {"horizon_days": 0}, {"horizon_days": "7"}],
)
def test_a_malformed_manifest_is_refused(bundle: Path, change: dict) -> None:
    edit_manifest(bundle, **change)
    with pytest.raises(BundleError, match=r"malformed|incomplete"):
        Bundle.load(bundle)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_not_json_is_refused(bundle: Path, raw: bytes) -> None:
    (bundle / "manifest.json").write_bytes(raw)
    with pytest.raises(BundleError, match="JSON"):
        Bundle.load(bundle)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "-1e400"])
def test_a_number_that_is_none_is_refused_wherever_it_stands(bundle: Path, number: str) -> None:
    told = json.loads((bundle / "manifest.json").read_text())
    raw = json.dumps(told | {"metrics": {"roc_auc": 0.5}}).replace("0.5}", f"{number}}}")
    (bundle / "manifest.json").write_text(raw)
    with pytest.raises(BundleError, match="is not JSON"):
        Bundle.load(bundle)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="Run `intent train` first"):
        Bundle.load(tmp_path / "nothing")
    with pytest.raises(BundleError, match="has no manifest"):
        Bundle.load(tmp_path)


def test_a_member_that_cannot_be_packed_leaves_the_old_bundle(bundle: Path, tmp_path: Path) -> None:
    from training.packaging.write_bundle import BundleFacts, write_bundle

    before = Bundle.load(bundle).digest
    with pytest.raises(BundleError, match="cannot be packed"):
        write_bundle(
            bundle,
            members=tmp_path,
            ensemble={"members": ["recency"]},
            features={},
            golden={},
            facts=BundleFacts(1, 7, {}, "", {}, {}),
        )
    assert Bundle.load(bundle).digest == before


def test_the_model_card_tells_what_the_model_is(bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    assert model_card(loaded)["answers"] == "Will this customer buy within 7 days?"
    page = model_card_markdown(loaded)
    assert page.startswith(f"# {loaded.tag}\n")
    assert "| ensemble | 0.7500 |" in page
