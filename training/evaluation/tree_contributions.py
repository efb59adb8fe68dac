"""What the trees use: TreeSHAP values as XGBoost computes them, in log-odds."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import TabularEncoding
from training.evaluation.report_parts import ShapSummary

__all__ = ["tree_contributions"]

_ROWS = 4_000
_SHOWN = 600


def tree_contributions(
    members: Path, weights: Mapping[str, float], features: CustomerFeatures, seed: int
) -> ShapSummary | None:
    """Return the SHAP summary of the exported trees below the folder `members`, None if no member is of trees.

    A member is known by how it is run, not by its name. Of several, the one with the largest of `weights` (member →
    share in the ensemble) is shown, of equal ones the first by name. Means are over at most 4,000 rows drawn with
    `seed`, of which 600 are kept one by one for the plot.

    Source: Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees",
    Nature Machine Intelligence 2, 56-67 (TreeSHAP), as implemented by XGBoost's `pred_contribs`.
    """
    found = _of_trees(members)
    if not found:
        return None
    import xgboost as xgb  # a run without trees is evaluated without it

    name = max(found, key=lambda one: weights.get(one, 0.0))
    spec = found[name]
    encoding = TabularEncoding.from_json(spec["tabular"])
    booster = xgb.Booster(model_file=str(members / name / spec["artefact"]))
    rows = np.random.default_rng(seed).permutation(features.n)[:_ROWS]
    table = encoding.apply(features.take(rows))
    values = booster.predict(xgb.DMatrix(table), pred_contribs=True)[:, :-1].astype(np.float64)  # last: the bias
    return ShapSummary(
        tuple(encoding.names),
        np.abs(values).mean(axis=0) if len(values) else np.zeros(len(encoding.names)),
        values[:_SHOWN],
        table[:_SHOWN].astype(np.float64),
        name,
    )


def _of_trees(members: Path) -> dict[str, dict[str, Any]]:
    """Return member → its `member.json`, by name, of those that XGBoost runs."""
    specs = {path.parent.name: json.loads(path.read_text()) for path in sorted(members.glob("*/member.json"))}
    return {name: spec for name, spec in specs.items() if spec["runtime"] == "xgboost"}
