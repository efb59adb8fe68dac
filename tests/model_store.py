"""A model store with two good models, for a worker in this process."""

import shutil
from pathlib import Path

from tests.hostile_bundles import reseal
from tests.online_store import PROJECT
from training.packaging.bundle import Bundle


class Store:
    """A model store with two good models, an online store, and the environment of a worker over both."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        self.models, self.slots = folder / "home" / "models" / "purchase_intent", folder / "slots"
        self.online = folder / "online.db"
        self.own = self.put(bundle)
        other = Path(shutil.copytree(bundle, folder / "other"))
        reseal(other, seed=8)
        self.other = self.put(other)
        address = f"sqlite:///{self.online}?project={PROJECT}"
        self.environment = {"INTENT_ONLINE_URL": address, "INTENT_SLOTS": str(self.slots)}

    def put(self, bundle: Path) -> str:
        return put(bundle, self.models)


def put(bundle: Path, models: Path) -> str:
    """Put a bundle into a store of models as `publish` does, but for building a bento; return its tag."""
    tag = Bundle.load(bundle).tag
    shutil.copytree(bundle, models / tag.split(":")[1] / "bundle")
    return tag
