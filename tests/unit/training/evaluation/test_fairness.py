import json

import numpy as np
import pytest

from training.evaluation.decisions import further_metrics
from training.evaluation.fairness import FAIRNESS_METRICS, fairness_tables
from training.evaluation.metrics import probability_metrics


@pytest.fixture(scope="module")
def tables(predictions):
    n = len(predictions.label)
    country = np.array(["CH", "DE", "FR"], object)[np.arange(n) % 3]
    country[:40] = "LI"  # too few
    groups = {"country": country, "age group": predictions.slices["age group"], "gender": np.full(n, None, object)}
    found = fairness_tables(predictions.label, predictions.probability["sharp"], groups, member="sharp", threshold=0.3)
    return found, country


def test_a_group_has_its_own_figures(tables, predictions):
    (of_country, _), country = tables
    rows = country == "DE"
    label, p = predictions.label[rows], predictions.probability["sharp"][rows]
    expected = probability_metrics(label, p) | further_metrics(label, p, 0.3)
    german = next(group for group in of_country.groups if group.value == "DE")
    assert (german.anchors, german.positives) == (int(rows.sum()), int(label.sum()))
    for name in FAIRNESS_METRICS:
        assert german.figures[name] == pytest.approx(expected[name]), name


def test_differences_and_ratios_are_of_the_large_groups(tables):
    (of_country, _), _ = tables
    rates = [group.figures["selection_rate"] for group in of_country.groups if group.figures]
    assert len(rates) == 3
    assert of_country.differences["selection_rate"] == pytest.approx(max(rates) - min(rates))
    assert of_country.ratios["selection_rate"] == pytest.approx(min(rates) / max(rates))
    small = next(group for group in of_country.groups if group.value == "LI")
    assert not small.figures
    assert small.anchors == 40


def test_what_nobody_is_known_by_has_no_table(tables):
    found, _ = tables
    assert [table.column for table in found] == ["country", "age group"]
    assert "not known" in [group.value for group in found[1].groups]


def test_is_json(tables):
    json.dumps([table.to_json() for table in tables[0]], allow_nan=False)


def test_without_a_threshold_nobody_is_selected_but_ranks_are_judged(predictions):
    (table,) = fairness_tables(
        predictions.label, predictions.probability["sharp"], {"age": predictions.slices["age group"]}, member="sharp"
    )
    assert all(np.isnan(group.figures["f1"]) for group in table.groups if group.figures)
    assert table.to_json()["threshold"] is None
    assert table.differences["roc_auc"] > 0


def test_small_groups_alone_are_counted(predictions):
    few = predictions.take(np.arange(60))
    (table,) = fairness_tables(few.label, few.probability["sharp"], {"age": few.slices["age group"]}, member="sharp")
    assert not any(group.figures for group in table.groups)
    assert not table.differences


def test_one_large_group_is_compared_with_nothing(predictions):
    country = np.full(len(predictions.label), "DE", object)
    country[:40] = "LI"  # too few
    (table,) = fairness_tables(
        predictions.label, predictions.probability["sharp"], {"country": country}, member="sharp"
    )
    assert [group.value for group in table.groups if group.figures] == ["DE"]
    assert not table.differences
    assert not table.ratios
