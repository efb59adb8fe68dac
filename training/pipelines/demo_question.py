"""Whether a run asks what the demo asks: only then do the demo's targets say anything about it."""

from collections.abc import Mapping
from typing import Any

from training.pipelines.same_question import question_facts
from training.settings import Settings

__all__ = ["of_the_demo"]

_ADAPTER = "ta_feng"
_QUESTION = {
    "horizon_days": 7,
    "cut_offs": {"train_until": "2001-01-15", "validation_until": "2001-02-05", "log_end": "2001-03-01"},
}
_ANCHORS = {"every": "monday", "first": "2000-12-04"}


def of_the_demo(settings: Settings, manifest: Mapping[str, Any]) -> bool:
    """Return whether task, horizon, anchors and splits are those of `intent.toml`, on the demo's log.

    A longer horizon, other splits, or anchors of a file make another test, on which other figures are good ones.
    `manifest` is that of the data set.
    """
    anchors = settings.anchors.model_dump(mode="json", exclude_defaults=True)
    by_rule = manifest.get("anchors", {}).get("rule") is not None
    asked = settings.data.adapter == _ADAPTER and question_facts(settings) == _QUESTION
    return asked and by_rule and anchors == _ANCHORS
