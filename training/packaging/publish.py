"""Put a bundle in BentoML's model store and build the bento that serves it, each under a tag made from its content.

Publishing the same bundle twice changes nothing: the tags are hashes of what they name.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from feature_repo.errors import BundleError, InputError
from training import atomic
from training.packaging.bundle import MODEL, Bundle
from training.packaging.bundle_files import MANIFEST, SIGNATURE
from training.packaging.model_card import model_card, model_card_markdown
from training.packaging.signature import sign

__all__ = ["PROJECT", "Published", "bentoml_environment", "bentoml_home", "publish"]

PROJECT = Path(__file__).parents[2]
_BENTOFILE = "bentofile.yaml"
_BUILD_SECONDS = 300


@dataclass(frozen=True)
class Published:
    """The exact tags of the model and of the bento, and which of them were not there before."""

    model: str
    bento: str
    home: Path
    model_is_new: bool
    bento_is_new: bool


def bentoml_home() -> Path:
    """Return where BentoML keeps models and bentos: BENTOML_HOME, or `artifacts/bentoml` where it is unset."""
    return Path(os.environ.get("BENTOML_HOME") or "artifacts/bentoml").resolve()


def bentoml_environment(home: Path) -> dict[str, str]:
    """Return the environment for a BentoML process over `home`, with its telemetry off (only `True` does that)."""
    return dict(os.environ) | {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}


def publish(
    bundle_path: Path, *, home: Path | None = None, project: Path = PROJECT, key_file: Path | None = None
) -> Published:
    """Publish the bundle in `bundle_path`, and make its model and bento the latest ones in `home`.

    Args:
        bundle_path: a bundle's folder.
        home: BentoML's home; `bentoml_home()` unless given.
        project: the folder with bentofile.yaml and the sources that it names.
        key_file: an Ed25519 private key in PEM, by which the published bundle is signed; its tag stays the same.

    Raises:
        BundleError: the bundle cannot be loaded.
        SettingsError: `key_file` holds no such key.
        InputError: the bento cannot be built.
    """
    bundle = Bundle.load(bundle_path)
    signature = None if key_file is None else sign(bundle, key_file)
    home = (home or bentoml_home()).resolve()
    for folder in ("models", "bentos"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    model_is_new = _store_model(bundle, home)
    if signature is not None:
        atomic.write_bytes(home / "models" / bundle.tag.replace(":", "/") / "bundle" / SIGNATURE, signature)
    bento, bento_is_new = _build_bento(bundle, home, project)
    return Published(bundle.tag, bento, home, model_is_new, bento_is_new)


def _store_model(bundle: Bundle, home: Path) -> bool:
    name, version = bundle.tag.split(":")
    stored = home / "models" / name / version
    is_new = not _is_whole_model(stored, bundle)
    if is_new:
        shutil.rmtree(stored, ignore_errors=True)
        _create_model(bundle, home)
    atomic.write_text(stored.parent / "latest", version)  # also where an older one was published again
    return is_new


def _is_whole_model(stored: Path, bundle: Bundle) -> bool:
    """Say whether the store has the model entire: a killed publication may have left a part of it."""
    try:
        return (stored / "model.yaml").is_file() and Bundle.load(stored / "bundle").digest == bundle.digest
    except BundleError:
        return False


def _create_model(bundle: Bundle, home: Path) -> None:
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"  # read at each event; there is no other switch inside a process
    import bentoml  # seconds to import, and only needed for a model that is new
    from bentoml._internal.models import ModelStore

    labels = {"horizon_days": str(bundle.horizon_days)}
    store = ModelStore(home / "models")
    with bentoml.models.create(bundle.tag, labels=labels, metadata=model_card(bundle), _model_store=store) as model:
        folder = Path(model.path_of("bundle"))
        for name, data in bundle.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        (folder / MANIFEST).write_bytes(bundle.manifest_bytes)
        if bundle.signature is not None:
            (folder / SIGNATURE).write_bytes(bundle.signature)
        Path(model.path_of("model_card.md")).write_text(model_card_markdown(bundle))


def _build_bento(bundle: Bundle, home: Path, project: Path) -> tuple[str, bool]:
    with tempfile.TemporaryDirectory(prefix="purchase-intent-bento-") as temporary:
        # Built from a copy of what is packed: BentoML would walk the whole folder, environments and data included.
        sources = _staged(project, Path(temporary), bundle.tag)
        version = _content_version(sources)
        stored = home / "bentos" / MODEL / version
        is_new = not _is_whole_bento(stored, sources)
        if is_new:
            shutil.rmtree(stored, ignore_errors=True)
            _run_build(Path(temporary), version, home)
    atomic.write_text(stored.parent / "latest", version)
    return f"{MODEL}:{version}", is_new


def _staged(project: Path, target: Path, model_tag: str) -> dict[str, bytes]:
    """Copy what bentofile.yaml names to `target`, with the exact model in it; return path → content."""
    try:
        options: dict[str, Any] = yaml.safe_load((project / _BENTOFILE).read_text())
        names = {p.relative_to(project).as_posix() for pattern in options["include"] for p in project.glob(pattern)}
        requirements = options["python"]["requirements_txt"]
        sources = {name: (project / name).read_bytes() for name in sorted({*names, requirements})}
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(
            f"Bento cannot be built: {_BENTOFILE} or a file that it names is missing or malformed in {project} "
            f"({type(error).__name__}). Restore it from the repository."
        ) from error
    for model in options["models"]:
        model["tag"] = model_tag
    sources[_BENTOFILE] = yaml.safe_dump(options, sort_keys=True).encode()
    for name, data in sources.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(data)
    return sources


def _content_version(sources: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, data in sorted(sources.items()):
        digest.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


def _is_whole_bento(stored: Path, sources: dict[str, bytes]) -> bool:
    made = ("bento.yaml", "apis/openapi.yaml", "env/python/requirements.txt", "env/docker/Dockerfile")
    modules = {stored / "src" / name: data for name, data in sources.items() if name.endswith(".py")}
    return all((stored / name).is_file() for name in made) and all(
        path.is_file() and path.read_bytes() == data for path, data in modules.items()
    )


def _run_build(folder: Path, version: str, home: Path) -> None:
    # In a process of its own: BentoML reads its home once a process, and the copy's modules must not become ours.
    command = [sys.executable, "-m", "bentoml", "build", "--version", version, "--output", "tag", str(folder)]
    environment = bentoml_environment(home) | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(  # noqa: S603  our own command
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"Bento was not built within {_BUILD_SECONDS} s. Try again on an idle machine.") from error
    if done.returncode != 0:
        last = re.sub(r"\s+", " ", done.stderr.strip()[-600:])
        raise InputError(f"Bento was not built: BentoML ended with {done.returncode}: {last}. Run `make setup` first.")
