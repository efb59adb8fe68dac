"""What the members share that are logistic regressions: weights of a scaled table, and their graph."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import TabularEncoding
from training.dataset.examples import Examples
from training.models.contract import FitSettings, Fitted, History, MemberSpec, write_member
from training.models.levelled_logistic import fit_levelled_logistic
from training.models.onnx_graph import FormulaGraph, linear
from training.models.readable_features import require_readable

__all__ = ["FittedRegression", "fit_regression"]


@dataclass(frozen=True)
class FittedRegression:
    """Weights of the scaled features of `member`, and an intercept at the pooled level of demand."""

    member: str
    tabular: TabularEncoding
    weights: NDArray[np.float64]
    intercept: float
    c: float
    class_weights: bool = False
    history: History = field(default_factory=History)

    @property
    def spec(self) -> MemberSpec:
        """A float64 graph over the scaled table."""
        return MemberSpec(self.member, "onnx", tabular=self.tabular, dtype="float64")

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
        require_readable(examples, [column.name for column in self.tabular.numeric], settings.impute)
        return fit_regression(
            self.member, self.tabular, examples, self.c, class_weights=self.class_weights, scratch=settings.scratch
        )

    def export(self, folder: Path) -> None:
        """Write the regression as a graph."""
        graph = FormulaGraph(len(self.weights))
        model = graph.finish(graph.add("Sigmoid", linear(graph, self.weights.tolist(), self.intercept)))
        write_member(folder, self.spec, model.SerializeToString())


def fit_regression(
    member: str,
    tabular: TabularEncoding,
    examples: Examples,
    c: float,
    *,
    class_weights: bool = False,
    scratch: Path | None = None,
) -> FittedRegression:
    """Fit the weights of the columns of `tabular` on `examples`, with the L2 penalty 1 / `c`; nothing is random.

    `scratch` is where the table of examples on disk is kept meanwhile.
    """
    weights, intercept = fit_levelled_logistic(tabular, examples, c, balanced=class_weights, scratch=scratch)
    return FittedRegression(member, tabular, weights, intercept, c, class_weights)
