"""`tuned.json`: which members to fit and what each is told, as a tuning left it for `intent train`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_repo.errors import SettingsError
from training.atomic import write_json
from training.models import member
from training.models.contract import Value, chosen_parameters
from training.settings import Settings

__all__ = ["TUNED", "TunedSettings", "as_toml", "read_tuned", "with_tuned", "write_tuned"]

TUNED = "tuned.json"


@dataclass(frozen=True)
class TunedSettings:
    """`members`: name → what it is told beside its defaults. `chosen`: names to fit, all of the task's if empty.

    `data`: fingerprint of the data set that was tuned on.
    """

    members: dict[str, dict[str, Value]]
    chosen: tuple[str, ...] = ()
    data: str = ""


def write_tuned(out: Path, settings: TunedSettings) -> Path:
    """Write `<out>/tuned.json`, whole or not at all, and return its path."""
    path = out / TUNED
    write_json(path, {"data": settings.data, "chosen": list(settings.chosen), "members": settings.members})
    return path


def read_tuned(path: Path) -> TunedSettings:
    """Read a file that `intent tune` wrote, or one like it.

    Raises:
        SettingsError: the file is missing or malformed.
        InputError: a member, or one of its parameters, is not known or not accepted.
    """
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        members = {str(name): dict(values) for name, values in found["members"].items()}
        settings = TunedSettings(members, tuple(map(str, found.get("chosen", ()))), str(found.get("data", "")))
    except FileNotFoundError:
        raise SettingsError(f"No tuned settings at {path}; expected what `intent tune` writes. Run it first.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise SettingsError(
            f"Tuned settings at {path} are malformed ({type(problem).__name__}: {problem}); expected an object with "
            '"members": {name: {parameter: value}}. Run `intent tune` again.'
        ) from None
    for name, values in settings.members.items():
        chosen_parameters(name, member(name).parameters, values)
    for name in settings.chosen:
        member(name)
    return settings


def with_tuned(settings: Settings, path: Path) -> Settings:
    """Return `settings` with the members, and what each is told, of the file at `path`; of one parameter it wins.

    Raises:
        SettingsError, InputError: as `read_tuned`.
    """
    tuned = read_tuned(path)
    names = {*settings.members, *tuned.members}
    members = {name: {**settings.members.get(name, {}), **tuned.members.get(name, {})} for name in sorted(names)}
    train = settings.train.model_copy(update={"members": tuned.chosen}) if tuned.chosen else settings.train
    return settings.model_copy(update={"members": members, "train": train})


def as_toml(members: Mapping[str, Mapping[str, Value]]) -> str:
    """Return the sections of intent.toml that tell each member the same."""
    parts = []
    for name, values in members.items():
        if values:
            parts.append("\n".join([f"[members.{name}]", *(f"{key} = {json.dumps(v)}" for key, v in values.items())]))
    return "\n\n".join(parts)
