"""Whether a run's data set was built for the question that the settings ask."""

import json
from pathlib import Path
from typing import Any

from feature_repo.errors import SourceDataError
from training.settings import Settings

__all__ = ["question_facts", "require_same_question"]

_SECTIONS = {"task": "task", "rule": "anchors", "cut_offs": "splits"}
"""Part of the facts → section of the settings that it is of."""


def question_facts(settings: Settings) -> dict[str, Any]:
    """Return what a data set's manifest keeps of the question: `horizon_days`, `task`, `features`, `cut_offs`."""
    told = {"task": settings.task, "features": settings.features}
    plain = {
        name: part.model_dump(mode="json", exclude_defaults=True, exclude={"horizon_days", "impute"})
        for name, part in told.items()
    }
    return {
        "horizon_days": settings.task.horizon_days,
        **{name: part for name, part in plain.items() if part},
        "cut_offs": settings.splits.model_dump(mode="json"),
    }


def require_same_question(settings: Settings, out: Path) -> None:
    """Refuse to go on with a data set of another task, horizon, anchors or splits than the settings say.

    Its labels would be judged as those of a question that nobody asked of them. A data set that was built from a file
    of anchors without settings fits all; the feature service may be another one.

    Raises:
        SourceDataError: the message names what is apart.
    """
    manifest = json.loads((out / "dataset" / "manifest.json").read_text())
    if not manifest.get("cut_offs"):
        return
    rule = manifest.get("anchors", {}).get("rule")
    built = _flat(manifest | {"rule": rule or {}})
    asked = question_facts(settings)
    if rule is not None:
        asked["rule"] = settings.anchors.model_dump(mode="json", exclude_defaults=True)
    now = _flat(asked)
    apart = sorted(key for key in built.keys() | now.keys() if built.get(key) != now.get(key))
    if apart:
        told = "; ".join(f"{key} was {_shown(built.get(key))}, now {_shown(now.get(key))}" for key in apart)
        raise SourceDataError(
            f"The data set below {out} was built for another question: {told}; expected that of the settings. Run "
            "`intent dataset` with these settings, or name with --config those that it was built with."
        )


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    found = {"task.horizon_days": facts.get("horizon_days")}
    for part, section in _SECTIONS.items():
        found |= {f"{section}.{key}": value for key, value in facts.get(part, {}).items()}
    return {key: value for key, value in found.items() if value is not None and key != "task.features"}


def _shown(value: Any) -> str:
    return "the default" if value is None else repr(value)
