"""A model serves only if it is what its tag says, is signed where that is asked for, and gives what training gave."""

import hashlib
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from feature_repo.errors import BundleError, SettingsError
from services.checked_model import checked_model
from tests.hostile_bundles import HOSTILE
from training.packaging.bundle import Bundle
from training.packaging.signature import read_public_keys, sign


def stored(bundle: Path, models: Path) -> str:
    """Move a bundle to where the model store has it, under the tag that its manifest gives it."""
    version = hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()[:16]
    (models / version).mkdir(parents=True)
    bundle.rename(models / version / "bundle")
    return f"purchase_intent:{version}"


def everything(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() and path.stat().st_size < 1e6 else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def bundle(tiny_bundle_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle_folder, tmp_path / "bundle"))


def test_there_are_enough_tricks() -> None:
    assert len(HOSTILE) >= 30


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_is_refused_and_writes_nothing(
    name: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "trap.json").write_text("{}")
    (outside / "weights.bin").write_bytes(bytes(4096))
    monkeypatch.chdir(outside)
    HOSTILE[name](bundle, outside)
    tag = stored(bundle, tmp_path / "models")
    before = everything(tmp_path)
    with pytest.raises(BundleError) as refused:
        checked_model(tmp_path / "models", tag)
    assert everything(tmp_path) == before
    assert len(str(refused.value)) < 1000


def test_the_same_bundle_untouched_is_taken(bundle: Path, tmp_path: Path) -> None:
    tag = stored(bundle, tmp_path / "models")
    model = checked_model(tmp_path / "models", tag)
    assert model.bundle.tag == tag
    assert model.golden_difference <= 1e-5


@pytest.mark.parametrize("tag", ["purchase_intent:../../etc", "purchase_intent:latest", "other:0123456789abcdef", ""])
def test_only_an_exact_tag_is_looked_for(tag: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="malformed"):
        checked_model(tmp_path, tag)


def test_a_tag_that_is_not_there_and_one_of_other_content(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not in the store"):
        checked_model(tmp_path, "purchase_intent:0123456789abcdef")
    tag = stored(bundle, tmp_path / "models")
    (tmp_path / "models" / tag.split(":")[1]).rename(tmp_path / "models" / "0123456789abcdef")
    with pytest.raises(BundleError, match=r"another one"):
        checked_model(tmp_path / "models", "purchase_intent:0123456789abcdef")


def key_files(folder: Path, name: str) -> tuple[Path, Path]:
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}-public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def test_where_keys_are_configured_one_of_them_must_have_signed(bundle: Path, tmp_path: Path) -> None:
    (ours, our_public), (theirs, their_public) = key_files(tmp_path, "ours"), key_files(tmp_path, "theirs")
    tag = stored(bundle, tmp_path / "models")
    signature = tmp_path / "models" / tag.split(":")[1] / "bundle" / "manifest.sig"
    keys = read_public_keys(our_public)

    def check(trusted: list) -> str:
        return checked_model(tmp_path / "models", tag, trusted).bundle.tag

    with pytest.raises(BundleError, match="is not signed"):
        check(keys)
    signature.write_bytes(sign(Bundle.load(signature.parent), theirs))
    with pytest.raises(BundleError, match="signed by none of the 1"):
        check(keys)
    our_public.write_bytes(our_public.read_bytes() + their_public.read_bytes())
    assert check(read_public_keys(our_public)) == tag  # an old and a new key side by side
    signature.write_bytes(sign(Bundle.load(signature.parent), ours))
    assert check(keys) == tag
    signature.write_bytes(signature.read_bytes()[:-1])
    with pytest.raises(BundleError, match="signed by none"):
        check(keys)
    assert check([]) == tag  # nobody asked for a signature


def test_a_file_that_holds_no_key_is_told(bundle: Path, tmp_path: Path) -> None:
    private, public = key_files(tmp_path, "ours")
    for wrong in (private, tmp_path / "nothing.pem", bundle / "golden.json"):
        with pytest.raises(SettingsError, match=r"cannot be read|no Ed25519 public key"):
            read_public_keys(wrong)
    with pytest.raises(SettingsError, match="no Ed25519 private key"):
        sign(Bundle.load(bundle), public)
