"""Logistic regression with a level of its own for each anchor date: what members that are linear share."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from feature_repo.transforms.encoding import TabularEncoding
from training.dataset.examples import Examples
from training.date_levels import date_codes, date_levels, pooled_level

__all__ = ["fit_levelled_logistic"]


def fit_levelled_logistic(tabular: TabularEncoding, examples: Examples, c: float) -> tuple[NDArray[np.float64], float]:
    """Return weights of the columns, float64 of shape (columns,), and the intercept at the pooled level.

    Fitted with one intercept per anchor date, which the pooled one then replaces. `c` is the inverse strength of the
    L2 penalty.
    """
    table = np.concatenate([tabular.apply(part.features).astype(np.float64) for part in examples.parts()])
    codes = date_codes(examples.anchor_us)
    dates = np.eye(codes.max() + 1)[codes]
    regression = LogisticRegression(C=c, fit_intercept=False, max_iter=500, tol=1e-8)
    regression.fit(np.concatenate([table, dates], axis=1), examples.label)
    weights = regression.coef_[0, : table.shape[1]]
    margin = table @ weights
    return weights, pooled_level(margin, date_levels(margin, examples.label, codes))
