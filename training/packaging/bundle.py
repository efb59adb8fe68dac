"""The bundle: a folder of models and JSON with the SHA-256 of every file, checked whole before anything is used.

    manifest.json          format, model, hashes, seed, versions, data fingerprint and window, metrics, horizon
    ensemble.json          how the members are combined (training/ensemble/combine.py)
    features.json          the views, their fields, types and time to live
    golden.json            stored inputs and outputs (training/packaging/golden.py)
    members/<name>/        member.json and one artefact: model.onnx or model.ubj

There is no pickle in it, and the loader opens nothing that the manifest does not name. What was verified is what is
used: the bytes are read once, hashed, and kept.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_repo.errors import BundleError

__all__ = ["FORMAT", "MODEL", "RUNTIMES", "Bundle"]

FORMAT = 1
MODEL = "purchase_intent"
RUNTIMES = {"onnx": ".onnx", "xgboost": ".ubj"}
"""How a member may be run, and how its artefact's name then ends."""

_MANIFEST = "manifest.json"
_REQUIRED = ("ensemble.json", "features.json", "golden.json")
_MANIFEST_BYTES = 2**20
_FILE_BYTES = 2**28  # a bundle is held in memory: a file of half a gigabyte is not one of ours
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_SUFFIXES = (".json", ".md", *RUNTIMES.values())
_DIGEST = re.compile(r"[0-9a-f]{64}")
_AGAIN = "Publish it again with `intent publish`, or restore the folder from a copy."


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: `files` maps each path that the manifest names to its bytes."""

    manifest: Mapping[str, Any]
    files: Mapping[str, bytes]
    manifest_bytes: bytes

    @classmethod
    def load(cls, path: Path) -> "Bundle":
        """Read and verify the bundle in the folder `path`.

        Raises:
            BundleError: the folder or its manifest is missing or malformed, the format is not known, a file is
                missing, extra, a link, outside the folder, too large, or has another SHA-256 than the manifest says.
        """
        if not path.is_dir():
            raise BundleError(
                f"Bundle not found: got no folder at {path}; expected a bundle. Run `intent train` first."
            )
        raw = _manifest_bytes(path)
        manifest = _checked_manifest(raw)
        expected: dict[str, str] = manifest["files"]
        _refuse_difference(_listing(path), set(expected))
        files = {name: _verified(path / name, name, digest) for name, digest in sorted(expected.items())}
        return cls(manifest, files, raw)

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
            raise BundleError(f"Bundle file {name!r} is missing: got {sorted(self.files)}. {_AGAIN}")
        return _json_object(self.files[name], name)

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
                f"{description.get('artefact')!r}; expected one of {RUNTIMES} with its file in the bundle. {_AGAIN}"
            )
        return description, self.files[artefact]


def _manifest_bytes(path: Path) -> bytes:
    file = path / _MANIFEST
    if file.is_symlink() or not file.is_file():
        raise BundleError(f"Bundle has no manifest: expected the file {_MANIFEST} in {path}. {_AGAIN}")
    if file.stat().st_size > _MANIFEST_BYTES:
        raise BundleError(f"Bundle manifest is too large: expected at most {_MANIFEST_BYTES} bytes. {_AGAIN}")
    return file.read_bytes()


def _checked_manifest(raw: bytes) -> dict[str, Any]:
    manifest = _json_object(raw, _MANIFEST)
    if manifest.get("format") != FORMAT or manifest.get("model") != MODEL:
        raise BundleError(
            f"Bundle format is not known: got format {manifest.get('format')!r} of {manifest.get('model')!r}; "
            f"expected format {FORMAT} of {MODEL!r}. Use the release that made it, or publish again."
        )
    files, horizon = manifest.get("files"), manifest.get("horizon_days")
    if not isinstance(files, dict) or not isinstance(horizon, int) or horizon < 1:
        raise BundleError(f"Bundle manifest is malformed: expected `files` and a positive `horizon_days`. {_AGAIN}")
    for name, digest in files.items():
        if not _NAME.fullmatch(name) or not name.endswith(_SUFFIXES) or name == _MANIFEST:
            raise BundleError(
                f"Bundle manifest names a file that no bundle holds: got {name!r}; expected a path inside the "
                f"folder ending in one of {_SUFFIXES}. {_AGAIN}"
            )
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise BundleError(f"Bundle manifest is malformed: {name!r} has no SHA-256. {_AGAIN}")
    missing = set(_REQUIRED) - set(files)
    if missing:
        raise BundleError(f"Bundle manifest is incomplete: expected {sorted(missing)} among its files. {_AGAIN}")
    return manifest


def _listing(path: Path) -> set[str]:
    """Return the files below `path` except the manifest; links and special files are refused, not followed."""
    found = set()
    for entry in sorted(path.rglob("*")):
        name = entry.relative_to(path).as_posix()
        if entry.is_symlink() or not (entry.is_dir() or entry.is_file()):
            raise BundleError(f"Bundle holds something that is not a plain file: {name!r}. {_AGAIN}")
        if entry.is_file() and name != _MANIFEST:
            found.add(name)
    return found


def _refuse_difference(found: set[str], expected: set[str]) -> None:
    if found != expected:
        raise BundleError(
            f"Bundle files differ from the manifest: missing {sorted(expected - found)}, extra "
            f"{sorted(found - expected)}; expected neither. {_AGAIN}"
        )


def _verified(path: Path, name: str, expected: str) -> bytes:
    if path.stat().st_size > _FILE_BYTES:
        raise BundleError(f"Bundle file {name!r} is too large: expected at most {_FILE_BYTES} bytes. {_AGAIN}")
    data = path.read_bytes()
    got = hashlib.sha256(data).hexdigest()
    if got != expected:
        raise BundleError(
            f"Bundle file {name!r} was altered: got SHA-256 {got[:12]}…; expected {expected[:12]}…. {_AGAIN}"
        )
    return data


def _json_object(raw: bytes, name: str) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"Bundle file {name!r} is not JSON. {_AGAIN}") from error
    if not isinstance(value, dict):
        raise BundleError(f"Bundle file {name!r} is not a JSON object. {_AGAIN}")
    return value
