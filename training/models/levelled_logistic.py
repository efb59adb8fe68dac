"""Logistic regression with a level of its own for each anchor date: what members that are linear share."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from feature_repo.transforms.encoding import TabularEncoding
from training.dataset.examples import Examples
from training.date_levels import SPREAD, date_codes, date_levels, pooled_level
from training.models.class_weights import class_weights

__all__ = ["fit_levelled_logistic"]


def fit_levelled_logistic(
    tabular: TabularEncoding, examples: Examples, c: float, *, balanced: bool = False
) -> tuple[NDArray[np.float64], float]:
    """Return weights of the columns, float64 of shape (columns,), and the intercept at the pooled level.

    Fitted with an intercept that nothing pulls at and a level for each anchor date around it, which the pooled one
    then replaces. `c` is the inverse strength of the L2 penalty on the weights; levels have the prior that they have
    everywhere (`training/date_levels.py`), whatever it is. `balanced` lets both classes weigh the same in the fit of
    the weights; the level is that of the population all the same, as the rows are counted for it.
    """
    table = np.concatenate([tabular.apply(part.features).astype(np.float64) for part in examples.parts()])
    codes = date_codes(examples.anchor_us)
    # The penalty is the same for all columns: a column of height h makes it h * h times weaker.
    dates = np.eye(codes.max() + 1)[codes] * (SPREAD / np.sqrt(c))
    regression = LogisticRegression(C=c, solver="newton-cholesky", max_iter=200, tol=1e-8)
    rows = np.where(examples.label == 1, *class_weights(examples.label)[::-1]) if balanced else None
    regression.fit(np.concatenate([table, dates], axis=1), examples.label, sample_weight=rows)
    weights = regression.coef_[0, : table.shape[1]]
    margin = table @ weights
    return weights, pooled_level(margin, date_levels(margin, examples.label, codes))
