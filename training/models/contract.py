"""What a member is: fitted on examples, answers a probability, exports to ONNX or UBJ. One suite tests them all."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import SplitError
from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import SequenceEncoding, TabularEncoding
from training.atomic import write_bytes, write_json
from training.dataset.examples import Examples
from training.models.parameters import Parameter, Value, chosen_parameters
from training.progress import Progress, Silent

__all__ = [
    "CORE_FEATURES",
    "NO_WORSE",
    "CutLists",
    "FitSettings",
    "Fitted",
    "History",
    "Impute",
    "Member",
    "MemberSpec",
    "Parameter",
    "Value",
    "chosen_parameters",
    "require_both_classes",
    "write_member",
]


Impute = Literal["median", "mean", "indicator", "delete", "refuse"]

CORE_FEATURES = ("recency_days", "lifetime_baskets", "revenue_per_basket", "tenure_days")
"""Recency, frequency, monetary value, tenure: what a baseline of a customer's purchases rests on."""

NO_WORSE = 3e-4
"""Losses of epochs this close are the same: the noise of a few thousand buyers is no reason to stop sooner."""
_STILL_FROM = 4


@dataclass(frozen=True)
class History:
    """How a fit went, step by step; what the report draws as training curves.

    `train` and `validation` are mean log losses after each step (an epoch or a boosting round), with each anchor
    date at its own level of demand (see `training/date_levels.py`), so that a holiday week does not look like a
    bad model. `learning_rate` is the rate of each step. `best` is the number of steps of the model that was kept.
    Members without steps have an empty history.
    """

    step: Literal["", "epoch", "round"] = ""
    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    best: int = 0

    @property
    def stopped_too_soon(self) -> bool:
        """Whether the last epoch is the best one, and better than that of a quarter before: more might be better."""
        if self.step != "epoch" or self.best < len(self.validation) or len(self.validation) < _STILL_FROM:
            return False
        earlier = self.validation[len(self.validation) * 3 // 4 - 1]
        return earlier - self.validation[-1] > NO_WORSE

    def to_json(self) -> dict[str, Any]:
        """Return the history as JSON-able data."""
        return asdict(self)


@dataclass(frozen=True)
class MemberSpec:
    """What a runtime has to know to score a member: the content of its `member.json`.

    `dtype` is the type of the output; inputs are float32 always.
    """

    member: str
    runtime: Literal["onnx", "xgboost"]
    tabular: TabularEncoding | None = None
    sequence: SequenceEncoding | None = None
    dtype: Literal["float32", "float64"] = "float32"

    @property
    def artefact(self) -> str:
        """Name of the file that holds the model."""
        return {"onnx": "model.onnx", "xgboost": "model.ubj"}[self.runtime]

    def to_json(self) -> dict[str, Any]:
        """Return the specification as JSON-able data."""
        return {
            "member": self.member,
            "runtime": self.runtime,
            "artefact": self.artefact,
            "dtype": self.dtype,
            "tabular": self.tabular.to_json() if self.tabular else None,
            "sequence": self.sequence.to_json() if self.sequence else None,
        }


@dataclass(frozen=True)
class CutLists:
    """Of `lists` that a member was fitted on, `longer` have more steps than the newest `steps`, which it reads."""

    lists: int
    longer: int
    steps: int

    def told(self, member: str) -> str:
        """Say it of the member."""
        return f"{member} reads the newest {self.steps:,} steps of a list; {self.longer:,} of {self.lists:,} are longer"

    def to_json(self) -> dict[str, int]:
        """Return it as JSON-able data."""
        return asdict(self)


@dataclass(frozen=True)
class FitSettings:
    """What a fit is told besides the examples.

    `horizon_days`: length of the label window (t, t + horizon] in days. `seed`: of everything random; two fits with
    the same one give the same probabilities within 1e-6. `progress` is told how far the fit is. `core_features` are
    the few numbers that a baseline of the task rests on. `impute` says what stands for missing numbers (see
    `training/models/fit_encoding.py`). `parameters` are of the one member that is fitted (`Member.parameters`): what
    is absent has its default. `scratch` is a folder for what memory does not hold; the system's own unless given.
    """

    horizon_days: float
    seed: int = 0
    progress: Progress = field(default_factory=Silent)
    core_features: tuple[str, ...] = CORE_FEATURES
    impute: Impute = "median"
    parameters: Mapping[str, Value] = field(default_factory=dict)
    scratch: Path | None = None


class Fitted(Protocol):
    """A member that was fitted. It holds no training rows.

    One that reads lists says in an attribute `cut_lists` (`CutLists`) of how many it reads the newest steps only.
    """

    @property
    def spec(self) -> MemberSpec:
        """What a runtime has to know."""

    @property
    def history(self) -> History:
        """How the fit went."""

    @property
    def importance(self) -> dict[str, float]:
        """Feature → share of the model's work, summing to 1; empty for members that cannot say."""

    def predict_proba(self, features: CustomerFeatures) -> NDArray[np.float64]:
        """Return P(at least one purchase within the horizon) for each row, shape (n,), inside (0, 1)."""

    def refit(self, examples: Examples, settings: FitSettings) -> "Fitted":
        """Fit again on `examples` with the encodings, parameters and number of steps of this fit, and no stopping.

        Of `settings`, the parameters are not looked at; what is refused in a fit is refused here.
        """

    def export(self, folder: Path) -> None:
        """Write `member.json` and the artefact into `folder`."""


class Member(Protocol):
    """One kind of model.

    `parameters` are what it may be told, with defaults and the space that tuning searches. One that can answer some
    tasks only names them in an attribute `tasks`; one that cannot do without a sequence says `needs_sequence = True`.
    One that imports packages only when it is fitted names them in `packages`: they are asked for before the first fit.
    """

    @property
    def name(self) -> str:
        """Name of its folder."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What it may be told."""

    def fit(self, train: Examples, validation: Examples | None, settings: FitSettings) -> Fitted:
        """Fit on `train`, encodings included; `validation`, if given, only decides when to stop.

        Raises:
            SplitError: `train` holds no example, or labels of one class only.
            InputError: a parameter is not known, or has a value that is not accepted; what is known is listed.
            FeatureError: a feature that it reads is infinite, or has missing values where `impute` refuses them.
        """


def require_both_classes(examples: Examples, period: str = "training") -> None:
    """Refuse examples that nothing can be learnt from, or judged on.

    Args:
        examples: labels of 0 and 1.
        period: what they are of, for the message.

    Raises:
        SplitError: there is no example, or all labels are the same.
    """
    buyers = int(np.count_nonzero(examples.label == 1))
    others = int(np.count_nonzero(examples.label == 0))
    if not buyers or not others or buyers + others != len(examples):
        raise SplitError(
            f"Labels of the {period} period: {buyers} times 1, {others} times 0, of {len(examples)} anchors; "
            f"expected both, and nothing else. Take a longer {period} period in intent.toml, or check the events, or "
            "the file of anchors if there is one."
        )


def write_member(folder: Path, spec: MemberSpec, artefact: bytes) -> None:
    """Write a member's two files; `member.json` comes last, so that a folder with one is whole."""
    write_bytes(folder / spec.artefact, artefact)
    write_json(folder / "member.json", spec.to_json())
