"""What the trees use: TreeSHAP values as XGBoost computes them, in log-odds."""

import json
from pathlib import Path

import numpy as np
import xgboost as xgb

from feature_repo.transforms.customer import CustomerFeatures
from feature_repo.transforms.encoding import TabularEncoding
from training.evaluation.report_parts import ShapSummary

__all__ = ["tree_contributions"]

_ROWS = 4_000
_SHOWN = 600


def tree_contributions(member: Path, features: CustomerFeatures, seed: int) -> ShapSummary | None:
    """Return the SHAP summary of the exported trees in the folder `member`, None if it holds no trees.

    Means are over at most 4,000 rows drawn with `seed`, of which 600 are kept one by one for the plot.

    Source: Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees",
    Nature Machine Intelligence 2, 56-67 (TreeSHAP), as implemented by XGBoost's `pred_contribs`.
    """
    description = member / "member.json"
    if not description.exists() or json.loads(description.read_text())["runtime"] != "xgboost":
        return None
    spec = json.loads(description.read_text())
    encoding = TabularEncoding.from_json(spec["tabular"])
    booster = xgb.Booster(model_file=str(member / spec["artefact"]))
    rows = np.random.default_rng(seed).permutation(features.n)[:_ROWS]
    table = encoding.apply(features.take(rows))
    values = booster.predict(xgb.DMatrix(table), pred_contribs=True)[:, :-1].astype(np.float64)  # last: the bias
    return ShapSummary(
        tuple(encoding.names),
        np.abs(values).mean(axis=0) if len(values) else np.zeros(len(encoding.names)),
        values[:_SHOWN],
        table[:_SHOWN].astype(np.float64),
        member.name,
    )
