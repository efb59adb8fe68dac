import numpy as np
import pytest

from tests.simulated_examples import HORIZON_DAYS, simulated_examples
from training.evaluation.report import ReportInput, render
from training.evaluation.tree_contributions import tree_contributions
from training.models import member
from training.models.contract import FitSettings


@pytest.fixture(scope="module")
def periods():
    return simulated_examples(300)


@pytest.fixture
def export(periods, tmp_path):
    """Export a member under any name."""

    def one(kind: str, name: str) -> None:
        told = {"rounds": 20} if kind == "boosted_trees" else {}
        member(kind).fit(periods[0], None, FitSettings(HORIZON_DAYS, parameters=told)).export(tmp_path / name)

    return one


def test_trees_are_known_by_how_they_are_run_not_by_their_name(export, periods, tmp_path):
    export("recency", "boosted_trees")
    export("boosted_trees", "forest")
    found = tree_contributions(tmp_path, {"boosted_trees": 0.9, "forest": 0.1}, periods[1].features, seed=3)
    assert found.member == "forest"
    assert len(found.names) == len(found.mean_abs) == found.values.shape[1]
    assert found.mean_abs.max() > 0
    strongest = found.names[int(np.argmax(found.mean_abs))]
    page = render(ReportInput("A shop", "Who buys?", None, shap=found))
    assert "Of the member <code>forest</code>." in page
    assert strongest in page


def test_of_several_the_one_that_counts_most_is_shown(export, periods, tmp_path):
    for name in ("first", "second"):
        export("boosted_trees", name)
    shown = [
        tree_contributions(tmp_path, weights, periods[1].features, seed=3).member
        for weights in ({"first": 0.2, "second": 0.3}, {"second": 0.0, "first": 0.0}, {})
    ]
    assert shown == ["second", "first", "first"]


def test_without_trees_there_is_nothing_to_show(export, periods, tmp_path):
    export("recency", "recency")
    assert tree_contributions(tmp_path, {"recency": 1.0}, periods[1].features, seed=3) is None
    assert tree_contributions(tmp_path / "nowhere", {}, periods[1].features, seed=3) is None
