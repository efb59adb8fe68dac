"""The share of anchors with a purchase, for everybody: what any model has to beat."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import NumericColumn, TabularEncoding
from training.dataset.examples import Examples
from training.models.contract import (
    FitSettings,
    Fitted,
    History,
    MemberSpec,
    Parameter,
    chosen_parameters,
    require_both_classes,
    write_member,
)
from training.models.onnx_graph import FormulaGraph

__all__ = ["MEMBER", "ConstantRate", "FittedConstantRate"]


_COLUMN = "recency_days"


@dataclass(frozen=True)
class FittedConstantRate:
    """The rate that was found."""

    rate: float
    column: str = _COLUMN
    history: History = field(default_factory=History)
    importance: dict[str, float] = field(default_factory=dict)

    @property
    def spec(self) -> MemberSpec:
        """A table of one column, of which only the number of rows is used."""
        rows = TabularEncoding((NumericColumn(self.column, fill=0.0),))
        return MemberSpec("constant_rate", "onnx", tabular=rows, dtype="float64")

    def predict_proba(self, features: CustomerFeatures) -> NDArray[np.float64]:
        """Return the rate for each row, shape (n,)."""
        return np.full(features.n, self.rate)

    def refit(self, examples: Examples, settings: FitSettings) -> Fitted:
        """Return the rate of other examples."""
        return MEMBER.fit(examples, None, replace(settings, parameters={}))

    def export(self, folder: Path) -> None:
        """Write a graph that repeats the rate once for each row."""
        graph = FormulaGraph(columns=1)
        rows = graph.add("Gather", graph.add("Shape", "tabular"), graph.constant([0], np.int64))
        model = graph.finish(graph.add("Expand", graph.constant([self.rate]), rows))
        write_member(folder, self.spec, model.SerializeToString())


class ConstantRate:
    """The member `constant_rate`."""

    name = "constant_rate"
    parameters: tuple[Parameter, ...] = ()

    def fit(self, train: Examples, validation: Examples | None, settings: FitSettings) -> Fitted:
        """Take the mean label of `train`; nothing is random and `validation` is not used."""
        chosen_parameters(self.name, self.parameters, settings.parameters)
        require_both_classes(train)
        names = train.sample.features.numeric
        column = _COLUMN if _COLUMN in names else next(iter(names), _COLUMN)
        return FittedConstantRate(float(train.label.mean()), column)


MEMBER = ConstantRate()
