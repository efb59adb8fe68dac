"""A model that may not serve is refused by a service that goes on with the old one: under load, no request notices."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from feature_repo.errors import BundleError
from intent_cli.bento_server import Bento, free_port, running
from intent_cli.promotion import Promotion
from services.client import IntentClient
from services.model_slots import Slots, read_slots
from services.online_url import SqliteUrl
from services.serving_models import PUBLIC_KEYS_VARIABLE
from tests.hostile_bundles import edit, flip, reseal
from tests.online_store import PROJECT, write_online_store
from tests.service_load import under_load
from tests.tiny_shop import AT
from training.packaging.bundle import Bundle
from training.packaging.publish import publish
from training.packaging.signature import sign


@dataclass
class Shop:
    """A served bento that trusts one key, and the store from which it takes models."""

    address: str
    own: str
    models: Path
    slots: Path
    trusted: Path
    other: Path

    def put(self, bundle: Path, key: Path | None) -> str:
        """Sign a bundle, put it into the store as `publish` does, and return its tag."""
        loaded = Bundle.load(bundle)
        place = self.models / loaded.tag.split(":")[1] / "bundle"
        shutil.copytree(bundle, place)
        if key is not None:
            (place / "manifest.sig").write_bytes(sign(loaded, key))
        return loaded.tag

    def promote(self, tag: str) -> None:
        assert Promotion(self.models, self.slots).carry_out(Slots(champion=tag), 60) == 1


def new_key(folder: Path, name: str) -> Path:
    key = Ed25519PrivateKey.generate()
    private = folder / f"{name}.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}-public.pem").write_bytes(public)
    return private


@pytest.fixture(scope="module")
def shop(tiny_bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("refused")
    trusted, other = new_key(folder, "trusted"), new_key(folder, "other")
    published = publish(tiny_bundle_folder, home=folder / "home", key_file=trusted)
    write_online_store(folder / "online.db")
    bento = Bento(published.bento, published.home, SqliteUrl(folder / "online.db", PROJECT), folder / "slots")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PUBLIC_KEYS_VARIABLE, str(folder / "trusted-public.pem"))
        with running(bento, free_port(), log=folder / "serve.log") as server:
            models = folder / "home" / "models" / "purchase_intent"
            yield Shop(server.address, published.model, models, folder / "slots", trusted, other)


def wrong_hash(shop: Shop, bundle: Path) -> str:
    tag = shop.put(bundle, shop.trusted)
    flip(shop.models / tag.split(":")[1] / "bundle" / "ensemble.json", -9)
    return tag


def unsigned(shop: Shop, bundle: Path) -> str:
    return shop.put(bundle, None)


def signed_by_another(shop: Shop, bundle: Path) -> str:
    return shop.put(bundle, shop.other)


def other_schema(shop: Shop, bundle: Path) -> str:
    """Whole and signed, and reads a view by another schema than the store's rows were written by."""
    edit(bundle / "features.json", lambda f: f["views"]["user_profile"]["fields"].update(shoe_size="Float64"))
    reseal(bundle)
    return shop.put(bundle, shop.trusted)


REFUSED: dict[Callable[[Shop, Path], str], str] = {
    wrong_hash: "was altered",
    unsigned: "is not signed",
    signed_by_another: "signed by none",
    other_schema: "another schema",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_what_may_not_serve_is_refused_and_the_old_one_goes_on(
    make: Callable[[Shop, Path], str], shop: Shop, tiny_bundle_folder: Path, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(tiny_bundle_folder, tmp_path / "bundle"))
    reseal(bundle, seed=100 + list(REFUSED).index(make))
    shop.promote(shop.own)
    with under_load(shop.address, 2) as answers:
        with pytest.raises(BundleError, match=f"goes on as before.*{REFUSED[make]}"):
            shop.promote(make(shop, bundle))
        assert read_slots(shop.slots).champion == shop.own
        seen = answers.count
        shop.promote(shop.own)  # and so it goes on after that
    assert answers.load is not None
    assert answers.load.outcomes.counts().keys() == {200}, answers.problems[:3]
    assert {body["model"] for body in answers.bodies} == {shop.own}
    assert answers.count > seen > 0


def test_what_is_whole_and_signed_is_taken(shop: Shop, tiny_bundle_folder: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny_bundle_folder, tmp_path / "bundle"))
    reseal(bundle, seed=99)
    tag = shop.put(bundle, shop.trusted)
    shop.promote(tag)
    with IntentClient(shop.address) as client:
        assert client.score("00000005", AT).model == tag
