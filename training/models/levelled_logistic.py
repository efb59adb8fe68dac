"""Logistic regression with a level of its own for each anchor date: what members that are linear share."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve
from scipy.special import expit

from feature_repo.transforms.encoding import TabularEncoding
from training.dataset.examples import Examples
from training.date_levels import SPREAD, date_codes, date_levels, pooled_level
from training.models.class_weights import EQUAL, class_weights
from training.models.encoded_table import EncodedTable, encode_table

__all__ = ["fit_levelled_logistic"]

Floats = NDArray[np.float64]
MOST_STEPS, MOST_HALVINGS = 100, 40
# A step that promises less than this share of a row's loss, on average, is none.
NEGLIGIBLE = 1e-14
# The intercept is not penalised; this keeps its system solvable where all labels but a few are of one class.
RIDGE = 1e-10


def fit_levelled_logistic(
    tabular: TabularEncoding, examples: Examples, c: float, *, balanced: bool = False, scratch: Path | None = None
) -> tuple[Floats, float]:
    """Return weights of the columns, float64 of shape (columns,), and the intercept at the pooled level.

    Fitted with an intercept that nothing pulls at and a level for each anchor date around it, which the pooled one
    then replaces. `c` is the inverse strength of the L2 penalty on the weights; levels have the prior that they have
    everywhere (`training/date_levels.py`), whatever it is. `balanced` lets both classes weigh the same in the fit of
    the weights; the level is that of the population all the same, as the rows are counted for it.

    The table of examples on disk is kept below `scratch`, and read once for each of Newton's steps.
    """
    table, codes = encode_table(tabular, examples, scratch), date_codes(examples.anchor_us)
    zero, one = class_weights(examples.label) if balanced else EQUAL
    rows = np.where(examples.label == 1, one, zero)
    weights = _Problem(table, examples.label, codes, rows, c).solved()[: table.shape[1]]
    margin = np.concatenate([block.astype(np.float64) @ weights for block in table.blocks()])
    return weights, pooled_level(margin, date_levels(margin, examples.label, codes))


class _Problem:
    """The penalised loss of the parameters: weights of the columns, levels of the dates, the intercept."""

    def __init__(
        self, table: EncodedTable, label: NDArray[np.int8], codes: NDArray[np.int64], rows: Floats, c: float
    ) -> None:
        self._table, self._label, self._codes, self._rows = table, label, codes, rows
        self._dates = int(codes.max()) + 1
        self._penalty = np.concatenate([np.full(table.shape[1], 1 / c), np.full(self._dates, SPREAD**-2), [RIDGE]])

    def solved(self) -> Floats:
        """Return the parameters of the least loss, by Newton's steps, halved where they lead too far."""
        found = np.zeros(len(self._penalty))
        loss, gradient, curvature = self._look(found)
        for _ in range(MOST_STEPS):
            step = solve(curvature, -gradient, assume_a="pos")
            promised = -float(gradient @ step)
            if promised <= NEGLIGIBLE * len(self._table):
                break
            for halvings in range(MOST_HALVINGS):
                tried = found + step / 2**halvings
                looked = self._look(tried)
                if looked[0] < loss:
                    break
            else:
                break  # no step makes it less: what is left is rounding
            found, (loss, gradient, curvature) = tried, looked
        return found

    def _look(self, at: Floats) -> tuple[float, Floats, Floats]:
        """Return the loss, its gradient and its curvature, from one pass over the blocks."""
        loss = float(self._penalty @ at**2) / 2
        gradient, curvature = self._penalty * at, np.diag(self._penalty)
        start = 0
        for block in self._table.blocks():
            place = slice(start, start + len(block))
            start += len(block)
            design = self._design(block, place)
            margin, label, rows = design @ at, self._label[place], self._rows[place]
            rate = expit(margin)
            loss += float(rows @ (np.logaddexp(0, margin) - label * margin))
            gradient += design.T @ (rows * (rate - label))
            design *= np.sqrt(rows * rate * (1 - rate))[:, None]
            curvature += design.T @ design  # of a matrix and itself, BLAS takes half of the product
        return loss, gradient, curvature

    def _design(self, block: NDArray[np.float32], place: slice) -> Floats:
        dates = np.eye(self._dates)[self._codes[place]]
        return np.concatenate([block, dates, np.ones((len(block), 1))], axis=1, dtype=np.float64)
