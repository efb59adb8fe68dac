"""BG/NBD: customers buy at random, each at an own rate, until after some purchase they leave for good.

Source: Fader, Hardie & Lee 2005, "Counting Your Customers" the Easy Way: An Alternative to the Pareto/NBD Model,
Marketing Science 24(2), 275-284. Rates are Gamma(r, alpha) over customers, chances to leave after a purchase are
Beta(a, b). A customer is summed up by x repeat purchases, the last of them at t_x, seen over (0, T].
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaln, expit, gammaln

from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import TabularEncoding
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
from training.models.fit_encoding import fit_filled_table, rows_to_fit
from training.models.onnx_graph import FormulaGraph
from training.models.readable_features import require_readable

__all__ = ["MEMBER", "BgNbd", "FittedBgNbd", "Parameters", "fit_parameters", "log_likelihood", "probability"]

Floats = NDArray[np.float64]
FEATURES = ("lifetime_baskets", "recency_days", "tenure_days")


@dataclass(frozen=True)
class Parameters:
    """Gamma(r, alpha) of the rates per day, Beta(a, b) of the chance to leave; all > 0."""

    r: float
    alpha: float
    a: float
    b: float


@dataclass(frozen=True)
class FittedBgNbd:
    """The four parameters, and the horizon that is asked for."""

    tabular: TabularEncoding
    parameters: Parameters
    horizon_days: float
    history: History = field(default_factory=History)
    importance: dict[str, float] = field(default_factory=dict)

    @property
    def spec(self) -> MemberSpec:
        """A float64 graph over three columns."""
        return MemberSpec("bg_nbd", "onnx", tabular=self.tabular, dtype="float64")

    def predict_proba(self, features: CustomerFeatures) -> Floats:
        """Return P(at least one purchase in the horizon) for each row, shape (n,)."""
        x, t_x, observed = _summary(self.tabular.apply(features).astype(np.float64))
        return probability(self.parameters, x, t_x, observed, self.horizon_days)

    def refit(self, examples: Examples, settings: FitSettings) -> Fitted:
        """Find the parameters of other examples."""
        require_readable(examples, FEATURES, settings.impute)
        return _fit(self.tabular, examples, settings)

    def export(self, folder: Path) -> None:
        """Write the closed form as a graph."""
        write_member(folder, self.spec, _graph(self.parameters, self.horizon_days).SerializeToString())


class BgNbd:
    """The member `bg_nbd`."""

    name = "bg_nbd"
    tasks = ("purchase_within_horizon",)
    parameters: tuple[Parameter, ...] = ()

    def fit(self, train: Examples, validation: Examples | None, settings: FitSettings) -> Fitted:
        """Fit by maximum likelihood of the purchases themselves; labels and `validation` are not used."""
        chosen_parameters(self.name, self.parameters, settings.parameters)
        train = rows_to_fit(train, FEATURES, settings.impute)
        require_both_classes(train)
        return _fit(fit_filled_table(train.sample.features, FEATURES, settings.impute), train, settings)


def log_likelihood(parameters: Parameters, x: Floats, t_x: Floats, observed: Floats) -> Floats:
    """Return ln L of each customer, shape (n,).

    Args:
        parameters: of the model.
        x: repeat purchases (the first one only starts the clock), shape (n,).
        t_x: days from the first to the last purchase, 0 where x is 0, shape (n,).
        observed: T, days since the first purchase, shape (n,).

    Source: Fader, Hardie & Lee 2005, the likelihood of a randomly chosen customer.
    """
    r, alpha, a, b = parameters.r, parameters.alpha, parameters.a, parameters.b
    alive = -(r + x) * np.log(alpha + observed)
    gone = np.where(x > 0, np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + t_x), -np.inf)
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x) - betaln(a, b)
    return np.asarray(common + np.logaddexp(alive, gone))


def probability(parameters: Parameters, x: Floats, t_x: Floats, observed: Floats, horizon: float) -> Floats:
    """Return P(at least one purchase in (T, T + horizon] | x, t_x, T), shape (n,).

    Buying nothing until T + h has the likelihood of x purchases, the last at t_x, seen over T + h: of the two terms,
    still a customer and gone, only the first one changes, from (alpha + T) to (alpha + T + h). The ratio of the two
    likelihoods is P(none), which is the same as
    P(at least one) = P(alive | x, t_x, T) * (1 - ((alpha + T) / (alpha + T + h)) ** (r + x)).

    Source: own, from the likelihood; P(alive) as in Fader, Hardie & Lee 2008, "Computing P(alive) Using the BG/NBD
    Model". Tested against numerical integration and simulation.
    """
    r, alpha, a, b = parameters.r, parameters.alpha, parameters.a, parameters.b
    odds_gone = np.log(a) - np.log(b + np.maximum(x, 1) - 1) + (r + x) * np.log((alpha + observed) / (alpha + t_x))
    alive = np.where(x > 0, expit(-odds_gone), 1.0)
    buys = -np.expm1((r + x) * np.log((alpha + observed) / (alpha + observed + horizon)))
    return np.asarray(alive * buys)


def fit_parameters(x: Floats, t_x: Floats, observed: Floats) -> Parameters:
    """Return the parameters of the highest likelihood, times in days; arrays as for `log_likelihood`."""
    kinds, count = np.unique(np.stack([x, t_x, observed], axis=1), axis=0, return_counts=True)
    # Weights of about 1 and times of about 1 keep the search well scaled.
    unit = max(float(kinds[:, 2].mean()), 1e-3)
    share = count / count.sum()

    def loss(logs: Floats) -> float:
        # A weak pull to 1: where nobody repeats, a and b are not determined and would run away.
        likelihood = log_likelihood(Parameters(*np.exp(logs)), kinds[:, 0], kinds[:, 1] / unit, kinds[:, 2] / unit)
        return float(-(share * likelihood).sum() + 1e-6 * (logs**2).sum())

    found = minimize(loss, np.zeros(4), method="L-BFGS-B", bounds=[(-10.0, 10.0)] * 4)
    r, alpha, a, b = np.exp(found.x).tolist()
    return Parameters(r, alpha * unit, a, b)


def _fit(tabular: TabularEncoding, examples: Examples, settings: FitSettings) -> FittedBgNbd:
    """Fit on the newest anchor date: every customer once, each with the longest history."""
    newest = examples.take(examples.anchor_us == examples.anchor_us.max())
    summary = _summary(tabular.apply(newest.features).astype(np.float64))
    return FittedBgNbd(tabular, fit_parameters(*summary), settings.horizon_days)


def _summary(table: Floats) -> tuple[Floats, Floats, Floats]:
    """Return x, t_x and T from the columns `FEATURES`."""
    baskets, recency, tenure = table.T
    x = np.maximum(baskets - 1, 0.0)
    return x, np.where(x > 0, np.maximum(tenure - recency, 0.0), 0.0), np.maximum(tenure, 0.0)


def _graph(parameters: Parameters, horizon: float) -> Any:
    """Return `_summary` and `probability` as an ONNX model."""
    graph = FormulaGraph(len(FEATURES))
    zero, one = graph.constant(0.0), graph.constant(1.0)
    baskets, recency, tenure = (graph.column(i) for i in range(3))
    x = graph.add("Max", graph.add("Sub", baskets, one), zero)
    repeats = graph.add("Greater", x, zero)
    t_x = graph.add("Where", repeats, graph.add("Max", graph.add("Sub", tenure, recency), zero), zero)
    seen = graph.add("Add", graph.add("Max", tenure, zero), graph.constant(parameters.alpha))
    shape = graph.add("Add", x, graph.constant(parameters.r))

    def log_ratio(below: str) -> str:
        return graph.add("Mul", shape, graph.add("Log", graph.add("Div", seen, below)))

    leaving = graph.add("Add", graph.add("Max", x, one), graph.constant(parameters.b - 1))
    odds_gone = graph.sum(
        graph.constant(np.log(parameters.a)),
        graph.add("Neg", graph.add("Log", leaving)),
        log_ratio(graph.add("Add", t_x, graph.constant(parameters.alpha))),
    )
    alive = graph.add("Where", repeats, graph.add("Sigmoid", graph.add("Neg", odds_gone)), one)
    none = graph.add("Exp", log_ratio(graph.add("Add", seen, graph.constant(horizon))))
    return graph.finish(graph.add("Mul", alive, graph.add("Sub", one, none)))


MEMBER = BgNbd()
