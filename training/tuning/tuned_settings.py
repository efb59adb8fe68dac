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
from training.tasks import task_named

__all__ = ["TUNED", "TunedSettings", "as_toml", "data_of", "read_tuned", "with_tuned", "write_tuned"]

TUNED = "tuned.json"


@dataclass(frozen=True)
class TunedSettings:
    """`members`: name → what it is told beside its defaults. `chosen`: names to fit, all of the task's if empty.

    `data`: fingerprint of the data set that was tuned on, empty where it is not known; `question`: what it answers.
    """

    members: dict[str, dict[str, Value]]
    chosen: tuple[str, ...] = ()
    data: str = ""
    question: str = ""


def data_of(out: Path) -> str:
    """Return the fingerprint, 16 hex digits, of the data set below `out`; empty where none was built.

    It changes with the log, the features, the task, the horizon, the anchors and the splits.
    """
    path = out / "dataset" / "manifest.json"
    return str(json.loads(path.read_text())["fingerprint"])[:16] if path.exists() else ""


def write_tuned(out: Path, settings: TunedSettings) -> Path:
    """Write `<out>/tuned.json`, whole or not at all, and return its path."""
    path = out / TUNED
    chosen = {"chosen": list(settings.chosen), "members": settings.members}
    write_json(path, {"data": settings.data, "question": settings.question, **chosen})
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
        data, question = (str(found.get(key, "")) for key in ("data", "question"))
        settings = TunedSettings(members, tuple(map(str, found.get("chosen", ()))), data, question)
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


def with_tuned(settings: Settings, path: Path, out: Path) -> Settings:
    """Return `settings` with the members, and what each is told, of the file at `path`; of one parameter it wins.

    Raises:
        SettingsError: the file is missing or malformed, or was tuned on another data set than the one below `out`.
        InputError: as `read_tuned`.
    """
    tuned = read_tuned(path)
    _require_same_data(tuned, path, settings, out)
    names = {*settings.members, *tuned.members}
    members = {name: {**settings.members.get(name, {}), **tuned.members.get(name, {})} for name in sorted(names)}
    train = settings.train.model_copy(update={"members": tuned.chosen}) if tuned.chosen else settings.train
    return settings.model_copy(update={"members": members, "train": train})


def _require_same_data(tuned: TunedSettings, path: Path, settings: Settings, out: Path) -> None:
    data = data_of(out)  # without one, training says so
    if tuned.data and data and tuned.data != data:
        asked = task_named(settings.task.name).question(settings)
        raise SettingsError(
            f"Tuned settings at {path} are of another data set: they were found on {tuned.data} "
            f"({tuned.question or 'its question was not noted'}), and that below {out} is {data} ({asked}); expected "
            "the same, for what is best for one is not known to be for another. Run `intent tune` on this one, or put "
            "what you want of them into [members.NAME] of intent.toml."
        )


def as_toml(members: Mapping[str, Mapping[str, Value]]) -> str:
    """Return the sections of intent.toml that tell each member the same."""
    parts = []
    for name, values in members.items():
        if values:
            parts.append("\n".join([f"[members.{name}]", *(f"{key} = {json.dumps(v)}" for key, v in values.items())]))
    return "\n\n".join(parts)
