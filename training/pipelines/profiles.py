"""What a run stands on: `feature_store.yaml`, files in the run's folder, or the profile in `INTENT_PROFILE`."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from feature_repo.errors import SettingsError

__all__ = ["REPOSITORY", "VARIABLE", "store_settings", "uses_files"]

VARIABLE = "INTENT_PROFILE"
_NAME = re.compile(r"\$\{(\w+)\}")
REPOSITORY = Path(__file__).resolve().parents[2] / "feature_repo"


def store_settings(
    out: Path, online: Path | None = None, project: str | None = None, scratch: bool = False
) -> dict[str, Any]:
    """Return the contents of the profile's `feature_store.yaml`, with every file of it in the run's folder.

    `INTENT_PROFILE` is unset or `local`, the name of a file in `feature_repo/profiles/`, or the path of a YAML file.
    `${NAME}` in it is the environment's, as in Feast.

    Args:
        out: the run's folder; a registry, a ledger and an online store that are SQLite files lie in `<out>/feast/`.
        online: another SQLite file for the online store than `<out>/feast/online.db`.
        project: another project than the profile's; its registry is another file, if it is one.
        scratch: the run is made up and soon gone: only the offline store is the profile's, and no server is touched.

    Raises:
        SettingsError: there is no such profile, it is no YAML of Feast's, or the environment lacks a variable of it.
    """
    raw = _read(_path_of(os.environ.get(VARIABLE) or "local"))
    if scratch:
        raw = _read(_path_of("local")) | {name: raw[name] for name in ("offline_store",) if name in raw}
    folder = out.resolve() / "feast"
    registry = "registry.db" if project is None else f"registry_{project}.db"
    if _is_file(raw["registry"]["path"]):
        raw["registry"]["path"] = f"sqlite:///{folder / registry}"
    if uses_files(raw):
        raw["online_store"]["path"] = str((online or folder / "online.db").resolve())
    engine = raw.get("batch_engine")
    if isinstance(engine, dict) and _is_file(engine.get("ledger", "")):
        engine["ledger"] = f"sqlite:///{folder / 'materialization.db'}"
    return raw | {"project": project or raw["project"]}


def uses_files(settings: Mapping[str, Any]) -> bool:
    """Return whether the online store is a file, which can be built aside and replaced as a whole."""
    return "path" in settings["online_store"]


def _is_file(url: str) -> bool:
    return url.startswith("sqlite:")


def _path_of(profile: str) -> Path:
    if profile == "local":
        return REPOSITORY / "feature_store.yaml"
    if profile.endswith((".yaml", ".yml")):
        return Path(profile)
    known = {path.stem: path for path in (REPOSITORY / "profiles").glob("*.yaml")}
    if profile not in known:
        raise SettingsError(
            f"{VARIABLE} names the profile {profile!r}; expected local, {', '.join(sorted(known))} or the path of a "
            "YAML file. Correct it, or unset it."
        )
    return known[profile]


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise SettingsError(
            f"The profile {path} cannot be read ({type(problem).__name__}); expected a feature_store.yaml of Feast. "
            f"Correct {VARIABLE} or the file."
        ) from None
    parts = ("registry", "online_store")
    if not isinstance(raw, dict) or "project" not in raw or not all(isinstance(raw.get(n), dict) for n in parts):
        raise SettingsError(
            f"The profile {path} holds no project, registry and online_store; expected a feature_store.yaml of Feast "
            "with the last two as mappings. Complete it."
        )
    lacking = sorted(_variables(raw) - set(os.environ))
    if lacking:
        raise SettingsError(
            f"The profile {path} needs {', '.join(lacking)}, not set in the environment; expected the address of a "
            "server in each. Set them (docs/production.md)."
        )
    return dict(_expanded(raw))


def _variables(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {name for part in value.values() for name in _variables(part)}
    return set(_NAME.findall(value)) if isinstance(value, str) else set()


def _expanded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _expanded(part) for key, part in value.items()}
    return _NAME.sub(lambda found: os.environ[found[1]], value) if isinstance(value, str) else value
