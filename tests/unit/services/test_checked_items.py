"""The part of a bundle that is about items is looked at as hard as the rest: what is wrong with it refuses it all."""

import pickle
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from feature_repo.errors import BundleError
from services.checked_model import checked_model
from tests.hostile_bundles import edit, reseal
from tests.tiny_items import ITEM_MEMBERS, write_item_bundle
from training.packaging.bundle import Bundle

Spoil = Callable[[Path], object]


def external_weights(item: Path) -> None:
    path = item / "members/popularity/model.onnx"
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../../../outside.bin")
    path.write_bytes(model.SerializeToString())


SPOILT: dict[str, Spoil] = {
    "another answer": lambda item: edit(item / "golden.json", lambda g: g["probability"].__setitem__(0, 0.99)),
    "another answer of a member": lambda item: edit(
        item / "golden.json", lambda g: g["members"]["popularity"].__setitem__(0, 0.99)
    ),
    "no examples": lambda item: edit(item / "golden.json", lambda g: g.update(columns={}, at_us=[], probability=[])),
    "a weight too few": lambda item: edit(item / "ensemble.json", lambda e: e.update(weights=[1.0])),
    "other weights": lambda item: edit(item / "ensemble.json", lambda e: e.update(weights=[0.9, 0.1])),
    "a member that is not there": lambda item: edit(
        item / "ensemble.json", lambda e: e.update(members=["popularity", "other"])
    ),
    "a member without its artefact": lambda item: (item / "members/popularity/model.onnx").unlink(),
    "a member outside": lambda item: edit(
        item / "members/popularity/member.json", lambda m: m.update(artefact="../../../members/recency/model.onnx")
    ),
    "weights outside": external_weights,
    "a pickle for trees": lambda item: (item / "members/boosted_trees/model.ubj").write_bytes(pickle.dumps([1])),
    "random bytes for trees": lambda item: (item / "members/boosted_trees/model.ubj").write_bytes(
        np.random.default_rng(5).bytes(4096)
    ),
    "a link out of the bundle": lambda item: _linked(item / "features.json"),
}


def _linked(path: Path) -> None:
    outside = path.parents[2] / "outside.json"
    path.rename(outside)
    path.symlink_to(outside)


@pytest.fixture
def bundle(tiny_bundle_folder: Path, tmp_path: Path) -> Path:
    return write_item_bundle(tiny_bundle_folder, tmp_path / "bundle", tmp_path / "exports")


def stored(bundle: Path, models: Path) -> str:
    """Put a bundle where the model store has it, under the tag of its manifest, which nobody has checked."""
    version = sha256((bundle / "manifest.json").read_bytes()).hexdigest()[:16]
    shutil.copytree(bundle, models / version / "bundle", symlinks=True)
    return f"purchase_intent:{version}"


def test_whole_it_is_taken(bundle: Path, tmp_path: Path) -> None:
    tag = stored(bundle, tmp_path / "models")
    model = checked_model(tmp_path / "models", tag)
    assert model.items is not None
    part, scorer = model.items
    assert part.tag == tag == Bundle.load(bundle).tag
    assert tuple(scorer.weights) == ITEM_MEMBERS


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_and_resealed_it_refuses_the_bundle(name: str, bundle: Path, tmp_path: Path) -> None:
    SPOILT[name](bundle / "item")
    reseal(bundle)
    tag = stored(bundle, tmp_path / "models")
    with pytest.raises(BundleError) as refused:
        checked_model(tmp_path / "models", tag)
    assert len(str(refused.value)) < 1000
