"""The bundle: a folder of models and JSON with the SHA-256 of every file, checked whole before anything is used.

    manifest.json          format, model, hashes, seed, versions, data fingerprint and window, metrics, horizon
    ensemble.json          how the members are combined (training/ensemble/combine.py)
    features.json          the views, their fields, types and time to live
    golden.json            stored inputs and outputs (training/packaging/golden.py)
    members/<name>/        member.json and one artefact: model.onnx or model.ubj
    manifest.sig           who published it, where it is signed (training/packaging/signature.py)

There is no pickle in it, and the loader opens nothing that the manifest does not name. What was verified is what is
used: the bytes are read once, hashed, and kept.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_repo.errors import BundleError
from training.packaging.bundle_files import (
    AGAIN,
    MANIFEST,
    SIGNATURE,
    is_file_name,
    json_object,
    listing,
    read_bounded,
    verified,
)
from training.packaging.onnx_tensors import refuse_outside_data

__all__ = ["FORMAT", "MODEL", "RUNTIMES", "Bundle"]

FORMAT = 1
MODEL = "purchase_intent"
RUNTIMES = {"onnx": ".onnx", "xgboost": ".ubj"}
"""How a member may be run, and how its artefact's name then ends."""

_REQUIRED = ("ensemble.json", "features.json", "golden.json")
_MANIFEST_BYTES = 2**20
_BUNDLE_BYTES = 2**29
_SIGNATURE_BYTES = 64
_LONGEST_HORIZON = 36_500  # days
_SUFFIXES = (".json", ".md", *RUNTIMES.values())
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: `files` maps each path that the manifest names to its bytes. Who signed it is not checked."""

    manifest: Mapping[str, Any]
    files: Mapping[str, bytes]
    manifest_bytes: bytes
    signature: bytes | None = None

    @classmethod
    def load(cls, path: Path) -> "Bundle":
        """Read and verify the bundle in the folder `path`.

        Raises:
            BundleError: the folder or its manifest is missing or malformed, the format is not known, a file is
                missing, extra, a link, outside the folder, too large, or has another SHA-256 than the manifest says; a
                model keeps its weights in another file.
        """
        if not path.is_dir():
            raise BundleError(
                f"Bundle not found: got no folder at {path}; expected a bundle. Run `intent train` first."
            )
        raw = _manifest_bytes(path)
        manifest = _checked_manifest(raw)
        expected: dict[str, str] = manifest["files"]
        _refuse_difference(listing(path), set(expected))
        files = _files(path, expected)
        return cls(manifest, files, raw, _signature(path))

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, and so of everything in the bundle."""
        return hashlib.sha256(self.manifest_bytes).hexdigest()

    @property
    def tag(self) -> str:
        """The tag that names exactly this content: `purchase_intent:<16 hexadecimal digits of the digest>`."""
        return f"{self.manifest['model']}:{self.digest[:16]}"

    @property
    def horizon_days(self) -> int:
        """How many days after the moment of scoring the probability is about."""
        return int(self.manifest["horizon_days"])

    def json(self, name: str) -> dict[str, Any]:
        """Return a JSON file of the bundle.

        Raises:
            BundleError: there is no such file, or it is not a JSON object.
        """
        if name not in self.files:
            raise BundleError(f"Bundle file {name!r} is missing: got {sorted(self.files)}. {AGAIN}")
        return json_object(self.files[name], name)

    def member(self, name: str) -> tuple[dict[str, Any], bytes]:
        """Return a member's description (member.json) and its artefact's bytes.

        Raises:
            BundleError: the member is not there, or is to be run in a way that is not known.
        """
        description = self.json(f"members/{name}/member.json")
        artefact = f"members/{name}/{description.get('artefact')}"
        suffix = RUNTIMES.get(str(description.get("runtime")))
        if suffix is None or not artefact.endswith(suffix) or artefact not in self.files:
            raise BundleError(
                f"Member {name!r} cannot be run: got runtime {description.get('runtime')!r} and artefact "
                f"{description.get('artefact')!r}; expected one of {RUNTIMES} with its file in the bundle. {AGAIN}"
            )
        return description, self.files[artefact]


def _manifest_bytes(path: Path) -> bytes:
    if not (path / MANIFEST).exists():
        raise BundleError(f"Bundle has no manifest: expected the file {MANIFEST} in {path}. {AGAIN}")
    return read_bounded(path / MANIFEST, MANIFEST, _MANIFEST_BYTES)


def _signature(path: Path) -> bytes | None:
    file = path / SIGNATURE
    return read_bounded(file, SIGNATURE, _SIGNATURE_BYTES) if file.exists() or file.is_symlink() else None


def _files(path: Path, expected: Mapping[str, str]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for name, digest in sorted(expected.items()):
        files[name] = verified(path, name, digest)
        if sum(map(len, files.values())) > _BUNDLE_BYTES:
            raise BundleError(f"Bundle is too large: expected at most {_BUNDLE_BYTES} bytes in all. {AGAIN}")
        if name.endswith(RUNTIMES["onnx"]):
            refuse_outside_data(files[name], name)
    return files


def _checked_manifest(raw: bytes) -> dict[str, Any]:
    manifest = json_object(raw, MANIFEST)
    if manifest.get("format") != FORMAT or manifest.get("model") != MODEL:
        raise BundleError(
            f"Bundle format is not known: got format {manifest.get('format')!r} of {manifest.get('model')!r}; "
            f"expected format {FORMAT} of {MODEL!r}. Use the release that made it, or publish again."
        )
    files, horizon = manifest.get("files"), manifest.get("horizon_days")
    if not isinstance(files, dict) or type(horizon) is not int or not 1 <= horizon <= _LONGEST_HORIZON:
        raise BundleError(f"Bundle manifest is malformed: expected `files` and a positive `horizon_days`. {AGAIN}")
    for name, digest in files.items():
        if not is_file_name(name) or not name.endswith(_SUFFIXES) or name == MANIFEST:
            raise BundleError(
                f"Bundle manifest names a file that no bundle holds: got {name!r}; expected a path inside the "
                f"folder ending in one of {_SUFFIXES}. {AGAIN}"
            )
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise BundleError(f"Bundle manifest is malformed: {name!r} has no SHA-256. {AGAIN}")
    if len({name.lower() for name in files}) != len(files):
        raise BundleError(f"Bundle manifest names files that differ in case alone; expected other names. {AGAIN}")
    missing = set(_REQUIRED) - set(files)
    if missing:
        raise BundleError(f"Bundle manifest is incomplete: expected {sorted(missing)} among its files. {AGAIN}")
    return manifest


def _refuse_difference(found: set[str], expected: set[str]) -> None:
    if found != expected:
        raise BundleError(
            f"Bundle files differ from the manifest: missing {sorted(expected - found)}, extra "
            f"{sorted(found - expected)}; expected neither. {AGAIN}"
        )
