"""Gradient-boosted trees (XGBoost) over all tabular features."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray
from scipy.special import expit, logit

from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import TabularEncoding
from training.dataset.examples import Examples
from training.date_levels import date_codes, date_levels, pooled_level
from training.models.boosted_trees.input_pipeline import matrix_of
from training.models.class_weights import EQUAL, class_weights, prior_shift
from training.models.contract import (
    FitSettings,
    Fitted,
    History,
    MemberSpec,
    chosen_parameters,
    require_both_classes,
    write_member,
)
from training.models.encoded_table import EncodedTable, encode_table
from training.models.fit_encoding import fit_raw_table
from training.models.parameters import flag, real, whole
from training.models.readable_features import require_readable
from training.progress import Task

__all__ = ["FIXED", "MEMBER", "BoostedTrees", "FittedTrees", "threads_for", "xgboost_parameters"]

FIXED: dict[str, Any] = {"objective": "binary:logistic", "eval_metric": "logloss", "tree_method": "hist"}
# Chosen by log loss on five forward folds inside train and validation: shallow trees, large leaves, few columns each.
# Depth 5 with leaves of 50 and 60 % of the columns is worse by 0.0003 to 0.0007 on each fold.
PARAMETERS = (
    whole("max_depth", 4, 1, 10, "levels of a tree"),
    real("eta", 0.05, 0.005, 0.3, "how much of each tree counts", log=True),
    real("subsample", 0.8, 0.4, 1.0, "share of the rows that a tree is grown on"),
    real("colsample_bytree", 0.3, 0.1, 1.0, "share of the columns that a tree may split"),
    real("min_child_weight", 100.0, 1.0, 400.0, "information that a leaf needs, at least", log=True),
    real("reg_lambda", 5.0, 0.1, 50.0, "L2 penalty on a leaf's answer", log=True),
    real("reg_alpha", 0.0, 1e-3, 20.0, "L1 penalty on a leaf's answer", log=True),
    flag("class_weights", False, "both classes weigh the same in training; probabilities are corrected for it"),
    whole("most_rounds", 400, 10, 5000, "trees at most, where later dates say when to stop", searched=False),
    whole("rounds", 150, 10, 5000, "trees where nothing says when to stop", searched=False),
)
PATIENCE = 30
# Rounds whose losses are this close are the same, and of those the last is kept: where the curve is flat its lowest
# point is chance, and the fit on more data that follows bears more trees.
NO_WORSE = 1e-4
# Where labels are few, a leaf of 100 would be the whole table: it then needs a fourteenth of all the information,
# which the validation days of small logs chose over a hundredth.
LEAST_SHARE = 0.07
# The first, coarse trees: a twentieth of the rounds, each counting much.
COARSE_ETA = 0.3
COARSE_SHARE = 20
LEAST_COARSE = 5
# Of the training rows so many are judged after each round, for a curve that only people look at.
CURVE_ROWS = 500
# With fewer rows a further thread saves less than it costs. How many there are does not show in the trees: XGBoost adds
# up float32 in float64, where the order of as many makes no difference (tested).
ROWS_PER_THREAD = 50_000


@dataclass(frozen=True)
class FittedTrees:
    """A booster whose base score is the pooled level of demand."""

    tabular: TabularEncoding
    booster: Any
    history: History
    parameters: dict[str, Any]

    @property
    def spec(self) -> MemberSpec:
        """A booster over the raw table, NaN where a value is missing."""
        return MemberSpec("boosted_trees", "xgboost", tabular=self.tabular)

    @property
    def importance(self) -> dict[str, float]:
        """Share of each column in the gain of all splits."""
        gain = self.booster.get_score(importance_type="total_gain")
        total = max(sum(gain.values()), 1e-12)
        return {name: gain.get(f"f{i}", 0.0) / total for i, name in enumerate(self.tabular.names)}

    def predict_proba(self, features: CustomerFeatures) -> NDArray[np.float64]:
        """Return the probability for each row, shape (n,)."""
        return self.booster.inplace_predict(self.tabular.apply(features)).astype(np.float64)

    def refit(self, examples: Examples, settings: FitSettings) -> Fitted:
        """Grow as many trees on other examples."""
        require_readable(examples, [column.name for column in self.tabular.numeric], settings.impute)
        return _grow(self.tabular, examples, None, self.history.best, self.parameters, settings)

    def export(self, folder: Path) -> None:
        """Write the booster as UBJ."""
        write_member(folder, self.spec, bytes(self.booster.save_raw("ubj")))


class BoostedTrees:
    """The member `boosted_trees`."""

    name = "boosted_trees"
    parameters = PARAMETERS

    def fit(self, train: Examples, validation: Examples | None, settings: FitSettings) -> Fitted:
        """Grow trees while `validation` gets no worse, or `rounds` of them without it.

        Missing numbers are taken as they are, unless they are to be refused.
        """
        chosen = chosen_parameters(self.name, self.parameters, settings.parameters)
        require_readable(train, train.sample.features.numeric, settings.impute)
        require_both_classes(train)
        rounds = chosen["rounds" if validation is None else "most_rounds"]
        return _grow(fit_raw_table(train.sample.features), train, validation, rounds, chosen, settings)


class _Margins:
    """A data matrix whose rows start from the level of their anchor date; the levels are found in turns with trees.

    XGBoost adds a row's base margin to the sum of its trees. A row predicted without one starts from the booster's
    base score instead, which is where the pooled level goes.

    With class weights, rows are shown that much higher as the weights lift log-odds: the trees then say what sets
    customers apart, and levels, losses and the base score are those of the population, as without.
    """

    def __init__(
        self,
        matrix: Any,
        table: EncodedTable,
        examples: Examples,
        weights: tuple[float, float] = EQUAL,
    ) -> None:
        self.matrix, self._table, self._label = matrix, table, examples.label
        self._codes = date_codes(examples.anchor_us)
        self._shift = prior_shift(weights)
        if weights != EQUAL:
            matrix.set_weight(np.where(examples.label == 1, *weights[::-1]))
        self.margin = self.levels = np.empty(0)
        self.update(None)

    def update(self, booster: Any, sums: NDArray[np.float32] | None = None) -> None:
        """Find the levels anew, given the trees so far, or what these trees and the rows' start sum up to (`_Sums`)."""
        if booster is None:
            self.margin = np.zeros(len(self._table))
        elif sums is not None:
            self.margin = sums.astype(np.float64) - self._shift - self.levels[self._codes]
        else:
            self.margin = _margin_of_trees(booster, self._table)
        self.levels = date_levels(self.margin, self._label, self._codes)
        self.matrix.set_base_margin(self.levels[self._codes] + self._shift)

    def sample(self) -> Any:
        """Return some rows with their levels, for a curve: to judge all rows after each round costs an eighth of it."""
        rows = np.unique(np.linspace(0, len(self._table) - 1, CURVE_ROWS).astype(np.int64))
        margin = self.levels[self._codes[rows]]
        return xgb.DMatrix(self._table.rows(rows), self._label[rows], base_margin=margin, nthread=1)


class _Rounds(xgb.callback.TrainingCallback):
    """Tells a `Task` of each round."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Count one round; False lets training go on."""
        self._task.advance()
        return False


class _Sums(xgb.callback.TrainingCallback):
    """Asks for the sums of the trees on the rows of training while XGBoost still knows them.

    What `xgb.train` returns is a copy, which would run all trees again: a twentieth of the time.
    """

    def __init__(self, matrix: Any) -> None:
        self._matrix = matrix
        self.found: NDArray[np.float32] = np.empty(0, np.float32)

    def after_training(self, model: Any) -> Any:
        """Keep the sums; the model goes on as it is."""
        self.found = model.predict(self._matrix, output_margin=True)
        return model


def _grow(
    tabular: TabularEncoding,
    train: Examples,
    stop: Examples | None,
    rounds: int,
    chosen: dict[str, Any],
    settings: FitSettings,
) -> FittedTrees:
    """Grow a few coarse trees from the dates' base rates, then all from the levels that the coarse ones leave over.

    Levels need to know roughly how far apart the customers are, and no more: grown twice in full, the trees are the
    same to the fourth digit of the loss.
    """
    weights = class_weights(train.label) if chosen["class_weights"] else EQUAL
    parts = {"train": _margins(tabular, train, settings, weights=weights)}
    if stop is not None:
        parts["validation"] = _margins(tabular, stop, settings, of_training=parts["train"].matrix)
    told = {
        **FIXED,
        **xgboost_parameters(chosen),
        "min_child_weight": _leaf(len(train), _rate(train.label, weights), chosen["min_child_weight"]),
        "seed": settings.seed,
        "base_score": 0.5,
        "nthread": threads_for(len(train)),
    }
    coarse_rounds, sums = max(rounds // COARSE_SHARE, LEAST_COARSE), _Sums(parts["train"].matrix)
    coarse = xgb.train(told | {"eta": COARSE_ETA}, parts["train"].matrix, coarse_rounds, callbacks=[sums])
    for name, part in parts.items():
        part.update(coarse, sums.found if name == "train" else None)
    with settings.progress.task("boosted_trees", rounds, "rounds") as task:
        booster, curves, of_all = _train(parts, rounds, told, task)
    parts["train"].update(booster, of_all)
    booster.set_param({"base_score": float(expit(pooled_level(parts["train"].margin, parts["train"].levels)))})
    return FittedTrees(tabular, booster, _history(curves, booster.num_boosted_rounds(), chosen), chosen)


def xgboost_parameters(chosen: dict[str, Any]) -> dict[str, Any]:
    """Return what of the member's parameters XGBoost is told as it is."""
    return {name: value for name, value in chosen.items() if name not in ("class_weights", "rounds", "most_rounds")}


def _margins(
    tabular: TabularEncoding,
    examples: Examples,
    settings: FitSettings,
    *,
    of_training: Any = None,
    weights: tuple[float, float] = EQUAL,
) -> _Margins:
    table = encode_table(tabular, examples, settings.scratch)
    return _Margins(matrix_of(table, examples.label, threads_for(len(table)), of_training), table, examples, weights)


def threads_for(rows: int) -> int:
    """Return how many threads a fit on so many rows takes."""
    return min(1 + rows // ROWS_PER_THREAD, os.cpu_count() or 1)


def _train(
    parts: dict[str, _Margins], rounds: int, told: dict[str, Any], task: Task
) -> tuple[Any, dict[str, Any], NDArray[np.float32] | None]:
    """Return the trees that are kept, the losses by round, and the sums of all trees, where all are kept."""
    curves: dict[str, Any] = {}
    sums = _Sums(parts["train"].matrix)
    later = {name: part for name, part in parts.items() if name != "train"}
    calls = [_Rounds(task), xgb.callback.EarlyStopping(rounds=PATIENCE) if later else sums]
    booster = xgb.train(
        told,
        dtrain=parts["train"].matrix,
        num_boost_round=rounds,
        evals=[(parts["train"].sample(), "train"), *((part.matrix, name) for name, part in later.items())],
        evals_result=curves,
        callbacks=calls,
        verbose_eval=False,
    )
    if later:
        return booster[: _kept_rounds(curves["validation"]["logloss"])], curves, None
    return booster, curves, sums.found


def _rate(label: NDArray[np.int8], weights: tuple[float, float]) -> float:
    return float(label.mean()) * weights[1]  # the mean weight of all rows is 1


def _leaf(rows: int, rate: float, most: float) -> float:
    """Return how much information (the sum of p (1 - p) over its rows) a leaf needs."""
    return min(most, LEAST_SHARE * rows * rate * (1 - rate))


def _kept_rounds(losses: list[float]) -> int:
    """Return the number of rounds up to the last one that is as good as the best."""
    return int(np.flatnonzero(np.asarray(losses) <= min(losses) + NO_WORSE)[-1]) + 1


def _margin_of_trees(booster: Any, table: EncodedTable) -> NDArray[np.float64]:
    parts = [booster.inplace_predict(block).astype(np.float64) for block in table.blocks()]
    return logit(np.concatenate(parts))  # the base score is 0.5 so far: log-odds 0


def _history(curves: dict[str, Any], best: int, chosen: dict[str, Any]) -> History:
    train, validation = (curves.get(name, {}).get("logloss", []) for name in ("train", "validation"))
    return History("round", train, validation, [chosen["eta"]] * len(train), best)


MEMBER = BoostedTrees()
