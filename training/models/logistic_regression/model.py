"""Logistic regression on all features: where events are few, nothing beats it by much."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import TabularEncoding
from training.dataset.examples import Examples
from training.models.contract import (
    FitSettings,
    Fitted,
    History,
    MemberSpec,
    chosen_parameters,
    require_both_classes,
    write_member,
)
from training.models.fit_encoding import fit_scaled_table, rows_to_fit, telling_apart
from training.models.levelled_logistic import fit_levelled_logistic
from training.models.onnx_graph import FormulaGraph, linear
from training.models.parameters import flag, real

__all__ = ["MEMBER", "FittedRegression", "Regression"]


@dataclass(frozen=True)
class FittedRegression:
    """Weights of the scaled features, and an intercept at the pooled level of demand."""

    tabular: TabularEncoding
    weights: NDArray[np.float64]
    intercept: float
    c: float
    history: History = field(default_factory=History)

    @property
    def spec(self) -> MemberSpec:
        """A float64 graph over the scaled table."""
        return MemberSpec("logistic_regression", "onnx", tabular=self.tabular, dtype="float64")

    @property
    def importance(self) -> dict[str, float]:
        """Share of each feature in the absolute weights; the features are scaled, so weights compare."""
        size = np.abs(self.weights)
        return dict(zip(self.tabular.names, (size / max(size.sum(), 1e-12)).tolist(), strict=True))

    def predict_proba(self, features: CustomerFeatures) -> NDArray[np.float64]:
        """Return the probability for each row, shape (n,)."""
        return np.asarray(expit(self.tabular.apply(features).astype(np.float64) @ self.weights + self.intercept))

    def refit(self, examples: Examples, settings: FitSettings) -> Fitted:
        """Fit the weights again; the scales stay."""
        return _fit_weights(self.tabular, examples, self.c)

    def export(self, folder: Path) -> None:
        """Write the regression as a graph."""
        graph = FormulaGraph(len(self.weights))
        model = graph.finish(graph.add("Sigmoid", linear(graph, self.weights.tolist(), self.intercept)))
        write_member(folder, self.spec, model.SerializeToString())


class Regression:
    """The member `logistic_regression`."""

    name = "logistic_regression"
    parameters = (
        real("c", 0.01, 1e-4, 100.0, "inverse strength of the L2 penalty", log=True),
        flag("indicators", True, "a column for each number that may be missing, saying whether it is"),
    )

    def fit(self, train: Examples, validation: Examples | None, settings: FitSettings) -> Fitted:
        """Fit scales and weights on `train`; nothing is random and `validation` is not used."""
        chosen = chosen_parameters(self.name, self.parameters, settings.parameters)
        names = telling_apart(train.sample, train.sample.features.numeric)
        train = rows_to_fit(train, names, settings.impute)
        require_both_classes(train)
        features = train.sample.features
        impute = "indicator" if chosen["indicators"] and settings.impute == "median" else settings.impute
        tabular = fit_scaled_table(features, names, features.categorical, impute)
        return _fit_weights(tabular, train, chosen["c"])


def _fit_weights(tabular: TabularEncoding, examples: Examples, c: float) -> FittedRegression:
    weights, intercept = fit_levelled_logistic(tabular, examples, c)
    return FittedRegression(tabular, weights, intercept, c)


MEMBER = Regression()
