"""How the ensemble stands to one of its members: what is required of it, and what a paired interval allows to say.

Two questions are asked of a difference, each by where its whole interval lies. Against zero: `ahead`, `behind`, or
`inside the noise` (`Difference.verdict`); nothing else is called a gain. Against the margin, of the ROC-AUC alone:

- no worse: the lower end is not below -MARGIN;
- worse: the whole interval is below -MARGIN;
- not shown: it reaches to both sides of -MARGIN, or too few draws define it. That is no proof of being worse.

The questions are apart, so an ensemble can be behind and no worse: below zero, by no more than the margin.

Source: the cases of Piaggio, Elbourne, Pocock, Evans and Altman for the CONSORT Group, Reporting of noninferiority and
equivalence randomized trials, extension of the CONSORT 2010 statement, JAMA 2012, 308(24), 2594-2604,
https://doi.org/10.1001/jama.2012.87802
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.evaluation.bootstrap import AHEAD, BEHIND, Difference, Interval
from training.evaluation.predictions import ENSEMBLE
from training.evaluation.rounding import alike

__all__ = ["MARGIN", "REGRESSION", "Paired", "Requirement", "best_member", "itself", "no_worse"]

MARGIN = 0.003
"""What an ensemble may lose in ROC-AUC against its best member and still be called no worse.

Of a thousand pairs of a buyer and a non-buyer, three more in the wrong order: less than an AUC itself is known to on
the demo's test (± 0.005), and more than a paired difference is (below ± 0.001), so that it can be shown there. It was
written down before, with the aims, and is the same for every test.
"""

REGRESSION = "logistic_regression"
"""The plain member that an ensemble must not fall behind, whichever member is the best."""

# Of an AUC alone nothing is seen of a correction that keeps the order.
_OF_PROBABILITIES = frozenset({"log_loss", "brier", "ece"})
YES, NOT_SHOWN, NO = "yes", "not shown", "no"
UNDEFINED = "too few draws define it"


@dataclass(frozen=True, slots=True)
class Requirement:
    """A question about the ensemble, answered `yes`, `not shown` or `no`, and why; `required` or only told.

    `advice` says what can be done about it, empty where nothing is to be done.
    """

    question: str
    answer: str
    why: str
    required: bool
    advice: str = ""

    @property
    def met(self) -> bool:
        """True when it is shown, or is not required."""
        return self.answer == YES or not self.required

    @property
    def text(self) -> str:
        """Question and answer in one line."""
        return f"{'required: ' * self.required}{self.question}? {self.answer}, {self.why}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-able data, with its line of text."""
        record = {name: getattr(self, name) for name in ("question", "answer", "why", "required", "advice")}
        return record | {"text": self.text}


@dataclass(frozen=True, slots=True)
class Paired:
    """The ensemble minus `member`, by metric, over the same draws of customers.

    `best`: the member is the one with the highest ROC-AUC on the test period itself (the lower log loss, then the
    name, breaks ties): choosing it in hindsight is the hardest comparison for the ensemble.
    """

    member: str
    differences: Mapping[str, Difference]
    best: bool = True

    @property
    def same(self) -> bool:
        """True when nothing but rounding is between the two, in no draw: the ensemble is this member, as it is."""
        nothing = (0.0, Interval(0.0, 0.0))
        return bool(_OF_PROBABILITIES & self.differences.keys()) and all(
            alike((found.estimate, found.interval), nothing) for found in self.differences.values()
        )

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What the differences at hand answer; nothing where the ensemble is the member itself.

        Against the best member both non-inferiority and better calibration are required, against regression that
        the ensemble is not behind it; the rest is told.
        """
        if self.same:
            return ()
        auc, ece = self.differences.get("roc_auc"), self.differences.get("ece")
        found = [] if auc is None else [_no_worse(auc, self.best)]
        if auc is not None and self.member == REGRESSION:
            found.append(_not_behind(auc))
        return (*found, *([] if ece is None else [_better_calibrated(ece, self.member, self.best)]))

    def requirements_json(self) -> dict[str, Any]:
        """Return the margin, and what is required, as JSON-able data."""
        return {"margin": MARGIN, "same": self.same, "requirements": [one.to_json() for one in self.requirements]}


def no_worse(interval: Interval, margin: float = MARGIN) -> str:
    """Return `yes`, `not shown` or `no`: whether a difference in ROC-AUC with this interval is at least -margin."""
    if interval.low >= -margin:
        return YES
    return NO if interval.high < -margin else NOT_SHOWN


def best_member(metrics: Mapping[str, Mapping[str, float]]) -> str | None:
    """Return the member that is best in hindsight, as `Paired` says; None where there is none."""
    alone = [name for name in metrics if name != ENSEMBLE]
    return min(alone, key=lambda name: (-metrics[name]["roc_auc"], metrics[name]["log_loss"], name), default=None)


def itself(metrics: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the member that the ensemble is, uncorrected; None where it is more than a member, or not judged.

    It has the member's figures up to rounding. `metrics`: of `Evaluation`, or the `test` part of `metrics.json`.
    """
    ensemble = metrics.get(ENSEMBLE, {})
    loss = ensemble.get("log_loss")
    if loss is None or not math.isfinite(loss):
        return None
    return next((name for name in metrics if name != ENSEMBLE and alike(metrics[name], ensemble)), None)


def _no_worse(auc: Difference, required: bool) -> Requirement:
    question, answer = "no worse in AUC", no_worse(auc.interval)
    why = {
        YES: f"the lower end is ≥ -{MARGIN}",
        NOT_SHOWN: f"the interval reaches below -{MARGIN}",
        NO: f"the whole interval is below -{MARGIN}",
    }
    return Requirement(question, answer, why[answer] if _defined(auc) else UNDEFINED, required)


def _not_behind(auc: Difference) -> Requirement:
    question = "not behind in AUC"
    if not _defined(auc):
        return Requirement(question, NOT_SHOWN, UNDEFINED, True)
    return Requirement(question, NO if auc.verdict == BEHIND else YES, f"it is {auc.verdict}", True)


def _better_calibrated(ece: Difference, member: str, required: bool) -> Requirement:
    answer = {AHEAD: YES, BEHIND: NO}.get(ece.verdict, NOT_SHOWN)
    why = f"ECE is {ece.verdict}" if _defined(ece) else UNDEFINED
    alone = f"To serve the best member alone, run: intent train --member {member}"
    return Requirement("better calibrated", answer, why, required, alone if required and answer == NO else "")


def _defined(found: Difference) -> bool:
    return math.isfinite(found.interval.low) and math.isfinite(found.interval.high)
