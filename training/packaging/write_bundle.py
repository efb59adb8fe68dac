"""Write a bundle: copy what the members exported, add the JSON, hash it all, and replace the folder in one step."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from feature_repo.errors import BundleError
from training import atomic
from training.packaging.bundle import FORMAT, MODEL, RUNTIMES, Bundle
from training.packaging.item_part import ITEM_FOLDER

__all__ = ["BundleFacts", "BundlePart", "write_bundle"]


@dataclass(frozen=True)
class BundleFacts:
    """What the manifest says of how the bundle came to be.

    `versions` maps a library to its version; `data_fingerprint` is the SHA-256 of the training data; `metrics` maps
    a measure to what the ensemble reached in the test period; `data_window` has `from` and `to` as ISO dates in UTC.
    `features` has `service` and `calendar`, where the features are of more than profile, history and baskets.
    """

    seed: int
    horizon_days: int
    versions: Mapping[str, str]
    data_fingerprint: str
    metrics: Mapping[str, Any]
    data_window: Mapping[str, str]
    features: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class BundlePart:
    """Models that answer one question, and what is said of them.

    Attributes:
        members: folder with one folder for each of the ensemble's members, as `Fitted.export` left it. Only
            member.json and the artefact it names are taken.
        ensemble: `Ensemble.to_json()`.
        features: the views as `{"views": {name: {"join_keys", "ttl_seconds", "fields"}}, "defaults": {}}`.
        golden: stored inputs and outputs (`training.packaging.golden.golden_vectors`).
        facts: what the manifest says of it.
    """

    members: Path
    ensemble: Mapping[str, Any]
    features: Mapping[str, Any]
    golden: Mapping[str, Any]
    facts: Mapping[str, Any]


def write_bundle(
    target: Path,
    *,
    members: Path,
    ensemble: Mapping[str, Any],
    features: Mapping[str, Any],
    golden: Mapping[str, Any],
    facts: BundleFacts,
    item: BundlePart | None = None,
) -> Bundle:
    """Write the bundle to the folder `target`, replacing what was there, and return it as loaded back.

    Args:
        target: the bundle's folder; it changes only when everything was written.
        members: as in `BundlePart`, and so are `ensemble`, `features` and `golden`: of the question about customers.
        ensemble: how its members are combined.
        features: its views.
        golden: its stored examples.
        facts: how it came to be. The manifest holds no clock: the same inputs give the same bundle, byte for byte.
        item: of the question about a customer and an item, where there is one.

    Raises:
        BundleError: a member's export is missing or is of a kind that the service does not run.
    """
    told = {name: value for name, value in asdict(facts).items() if value is not None}
    with atomic.replace_folder(target) as folder:
        _write_part(folder, BundlePart(members, ensemble, features, golden, told))
        if item is not None:
            _write_part(folder / ITEM_FOLDER, item)
            told |= {ITEM_FOLDER: dict(item.facts)}
        files = {p.relative_to(folder).as_posix(): _digest(p) for p in sorted(folder.rglob("*")) if p.is_file()}
        _write_json(folder / "manifest.json", {"format": FORMAT, "model": MODEL, "files": files, **told})
        Bundle.load(folder)  # nothing replaces a good bundle that could not be loaded itself
    return Bundle.load(target)


def _write_part(folder: Path, part: BundlePart) -> None:
    for name in part.ensemble["members"]:
        _copy_member(part.members / name, folder / "members" / name)
    for name, value in (("ensemble", part.ensemble), ("features", part.features), ("golden", part.golden)):
        _write_json(folder / f"{name}.json", value)


def _copy_member(source: Path, target: Path) -> None:
    try:
        description = json.loads((source / "member.json").read_text())
        artefact = str(description["artefact"])
        if Path(artefact).name != artefact or not artefact.endswith(RUNTIMES[description["runtime"]]):
            raise KeyError(artefact)
        data = (source / artefact).read_bytes()
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(
            f"Member {source.name!r} cannot be packed: got no usable member.json with its artefact in {source}; "
            f"expected a runtime of {RUNTIMES}. Run `intent train` again."
        ) from error
    target.mkdir(parents=True)
    _write_json(target / "member.json", description)
    (target / artefact).write_bytes(data)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    # Sorted, so that the same content has the same hash whatever order it was built in.
    path.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
