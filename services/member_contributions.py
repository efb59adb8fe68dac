"""What each feature adds to one member's log-odds for one customer: of trees exactly, of a graph by leaving out."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.transforms.encoding import TabularEncoding
from services.explanation import MemberContributions
from services.permutation_shapley import shapley_values
from training.ensemble.combine import log_odds

__all__ = ["column_features", "graph_contributions", "tree_contributions"]

Run = Callable[[NDArray[np.float32] | None, NDArray[np.float32] | None], NDArray[np.float64]]
"""A graph: table (m, columns) and sequences of equal length (m, steps, channels), either None → probabilities (m,)."""


def column_features(encoding: TabularEncoding) -> list[str]:
    """Return for each encoded column the feature that it is made of; several columns may be of one feature."""
    owners = [column.name for column in encoding.numeric]
    owners += [column.name for column in encoding.one_hot for _ in column.names]
    owners += list(encoding.missing)
    return owners + encoding.names[len(owners) :]


def tree_contributions(booster: Any, encoding: TabularEncoding, table: NDArray[np.float32]) -> MemberContributions:
    """Return the exact contributions of trees to one customer, whose encoded row is `table` of shape (1, columns).

    Source: Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees",
    Nature Machine Intelligence 2, 56-67 (TreeSHAP), as implemented by XGBoost's `pred_contribs`.
    """
    import xgboost

    values = booster.predict(xgboost.DMatrix(table, nthread=1), pred_contribs=True)[0].astype(np.float64)
    return MemberContributions(
        float(values[-1]), _by_feature(column_features(encoding), values[:-1]), np.empty(0), "tree_shap"
    )


def graph_contributions(
    run: Run,
    encoding: TabularEncoding | None,
    table: NDArray[np.float32] | None,
    steps: NDArray[np.float32] | None,
    seed: int,
) -> MemberContributions:
    """Return the contributions of a graph to one customer.

    Args:
        run: the graph.
        encoding: of its table, None if it takes none.
        table: the customer's encoded row, shape (1, columns), or None.
        steps: the customer's encoded sequence, shape (steps, channels), or None if it takes none.
        seed: of the permutations.
    """
    columns = [] if encoding is None or table is None else column_features(encoding)
    names = list(dict.fromkeys(columns))
    count = 0 if steps is None else len(steps)
    owner = np.array([names.index(name) for name in columns], np.int64)

    def value_of(joined: NDArray[np.bool_]) -> NDArray[np.float64]:
        rows = None if table is None else np.where(joined[:, owner], table, np.float32(0))
        return np.asarray(log_odds(_run_by_length(run, rows, joined[:, len(names) :], steps)), np.float64)

    base, values = shapley_values(value_of, len(names) + count, seed)
    features = dict(zip(names, values.tolist(), strict=False))
    return MemberContributions(base, features, values[len(names) :], "permutation_shapley")


def _run_by_length(
    run: Run, rows: NDArray[np.float32] | None, kept: NDArray[np.bool_], steps: NDArray[np.float32] | None
) -> NDArray[np.float64]:
    """Run the rows of equally many kept steps together: a graph takes no padding."""
    if steps is None:
        return run(rows, None)
    lengths = kept.sum(axis=1)
    result = np.empty(len(kept), np.float64)
    for length in np.unique(lengths).tolist():
        chosen = np.flatnonzero(lengths == length)
        sequence = np.zeros((len(chosen), 1, steps.shape[1]), np.float32)  # no step at all is one of zeros
        if length:
            sequence = steps[np.nonzero(kept[chosen])[1]].reshape(len(chosen), length, -1)
        result[chosen] = run(None if rows is None else rows[chosen], sequence)
    return result


def _by_feature(owners: Sequence[str], values: NDArray[np.float64]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in zip(owners, values.tolist(), strict=True):
        found[name] = found.get(name, 0.0) + value
    return found
