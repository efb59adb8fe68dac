"""A model of items travels in the bundle: one manifest, one tag, and refused as a whole if a byte of it is another."""

from pathlib import Path

import pytest

from feature_repo.errors import BundleError
from services.item_scorer import ItemScorer
from training.packaging.bundle import Bundle
from training.packaging.item_part import item_part
from training.packaging.write_bundle import BundleFacts, BundlePart, write_bundle

HOW = {
    "service": "customer_item_events",
    "calendar": {"zone": "UTC", "holidays": [], "seasons": False},
    "lookback_days": 7,
}


def with_items(source: Path, target: Path, how: dict | None) -> Bundle:
    """A bundle of twice the same models, the second time as those of items."""
    tiny = Bundle.load(source)
    names = ("seed", "horizon_days", "versions", "data_fingerprint", "metrics", "data_window")
    facts = {name: tiny.manifest[name] for name in names}
    content = {name: tiny.json(f"{name}.json") for name in ("ensemble", "features", "golden")}
    told = facts | {"horizon_days": 14} | ({} if how is None else {"features": how})
    item = BundlePart(source / "members", **content, facts=told)
    return write_bundle(target, members=source / "members", **content, facts=BundleFacts(**facts), item=item)


def test_the_part_is_a_bundle_of_its_own_under_the_same_tag(tiny_bundle_folder: Path, tmp_path: Path) -> None:
    bundle = with_items(tiny_bundle_folder, tmp_path / "bundle", HOW)
    part = item_part(bundle)
    assert part is not None
    assert (part.tag, part.horizon_days, bundle.horizon_days) == (bundle.tag, 14, 7)
    assert part.json("golden.json") == bundle.json("golden.json")
    assert part.member("boosted_trees")[1] == bundle.member("boosted_trees")[1]
    assert ItemScorer(part).weights
    assert item_part(Bundle.load(tiny_bundle_folder)) is None


def test_one_byte_of_it_refuses_the_bundle(tiny_bundle_folder: Path, tmp_path: Path) -> None:
    with_items(tiny_bundle_folder, tmp_path / "bundle", HOW)
    file = tmp_path / "bundle" / "item" / "members" / "recency" / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(BundleError, match="was altered"):
        Bundle.load(tmp_path / "bundle")


@pytest.mark.parametrize("how", [None, HOW | {"service": "other"}, {"service": HOW["service"]}, HOW | {"calendar": 1}])
def test_a_part_that_does_not_say_how_it_is_made_is_refused(
    tiny_bundle_folder: Path, tmp_path: Path, how: dict | None
) -> None:
    part = item_part(with_items(tiny_bundle_folder, tmp_path / "bundle", how))
    assert part is not None
    with pytest.raises(BundleError, match="how the features of its models are made"):
        ItemScorer(part)
