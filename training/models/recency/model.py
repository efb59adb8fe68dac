"""Logistic regression on the task's core features: four numbers that are hard to beat.

Of a customer's purchases these are recency, frequency, monetary value and tenure; another task names its own.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from feature_repo.errors import FeatureError
from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import TabularEncoding
from training.dataset.examples import Examples
from training.models.contract import (
    CORE_FEATURES,
    FitSettings,
    Fitted,
    History,
    MemberSpec,
    chosen_parameters,
    require_both_classes,
    write_member,
)
from training.models.fit_encoding import fit_scaled_table, rows_to_fit
from training.models.levelled_logistic import fit_levelled_logistic
from training.models.onnx_graph import FormulaGraph, linear
from training.models.parameters import real

__all__ = ["MEMBER", "FittedRecency", "Recency"]


@dataclass(frozen=True)
class FittedRecency:
    """Weights of the scaled features, and an intercept at the pooled level of demand."""

    tabular: TabularEncoding
    weights: NDArray[np.float64]
    intercept: float
    c: float
    history: History = field(default_factory=History)

    @property
    def spec(self) -> MemberSpec:
        """A float64 graph over the scaled table."""
        return MemberSpec("recency", "onnx", tabular=self.tabular, dtype="float64")

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


class Recency:
    """The member `recency`."""

    name = "recency"
    parameters = (real("c", 10.0, 1e-3, 1e3, "inverse strength of the L2 penalty", log=True),)

    def fit(self, train: Examples, validation: Examples | None, settings: FitSettings) -> Fitted:
        """Fit scales and weights on `train`; nothing is random and `validation` is not used."""
        chosen = chosen_parameters(self.name, self.parameters, settings.parameters)
        asked = (settings.core_features, CORE_FEATURES)
        found = ([name for name in names if name in train.sample.features.numeric] for names in asked)
        names = next(filter(None, found), [])
        if not names:
            raise FeatureError(
                f"Member 'recency' finds none of {', '.join(settings.core_features)} among the features; expected the "
                "core features of the task. Choose the task's own feature service, or leave the member out."
            )
        train = rows_to_fit(train, names, settings.impute)
        require_both_classes(train)
        return _fit_weights(fit_scaled_table(train.sample.features, names, impute=settings.impute), train, chosen["c"])


def _fit_weights(tabular: TabularEncoding, examples: Examples, c: float) -> FittedRecency:
    weights, intercept = fit_levelled_logistic(tabular, examples, c)
    return FittedRecency(tabular, weights, intercept, c)


MEMBER = Recency()
