"""What the report shows of a training, from its `training.json`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from training.evaluation.report_parts import Candidate, TrainingCurve
from training.models.contract import CutLists

__all__ = ["candidates_of", "cut_lists_of", "training_curves_of"]

_DATES_SHOWN = 6  # of a candidate's losses by date, the newest: there may be a date for each day


def training_curves_of(training: Mapping[str, Any]) -> tuple[TrainingCurve, ...]:
    """Return the curves of the members that were trained by epochs."""
    return tuple(
        TrainingCurve(
            name, np.array(history["train"], float), np.array(history["validation"], float), history["best"] or None
        )
        for name, history in training["histories"].items()
        if history["step"] == "epoch"
    )


def cut_lists_of(training: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a sentence for each member that reads only the newest steps of some lists."""
    found = {name: CutLists(**cut) for name, cut in training.get("cut_lists", {}).items()}
    return tuple(cut.told(name) for name, cut in found.items() if cut.longer)


def candidates_of(training: Mapping[str, Any]) -> tuple[Candidate, ...]:
    """Return the ways of combining that were compared, best first, with their losses on the newest scored dates.

    Of a training by an earlier version, which kept none by date, only with their mean.
    """
    return tuple(
        Candidate(
            row["combination"],
            row["calibration"],
            row["log_loss"],
            tuple(row.get("by_date", ())[-_DATES_SHOWN:]),
            row["chosen"],
        )
        for row in training["candidates"]
    )
