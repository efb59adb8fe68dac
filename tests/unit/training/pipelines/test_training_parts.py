import json

import numpy as np
import pytest

from training.ensemble.choose import choose
from training.ensemble.forward_predictions import DAY_US, Forward
from training.evaluation.report import ReportInput, render
from training.pipelines.training_parts import candidates_of, cut_lists_of, training_curves_of

DATES, ROWS = 10, 40


@pytest.fixture(scope="module")
def training():
    """What `training.json` has of the candidates of ten weeks, as it is read back."""
    random = np.random.default_rng(2)
    p = random.uniform(0.1, 0.6, DATES * ROWS)
    label = (random.random(len(p)) < p).astype(np.int8)
    users = np.array([f"customer {row % ROWS}" for row in range(len(p))], object)
    choice = choose(Forward(users, np.repeat(np.arange(DATES), ROWS) * 7 * DAY_US, label, {"a": p, "b": p**0.9}), 7)
    return json.loads(json.dumps({"candidates": [candidate.to_json() for candidate in choice.candidates]}))


def test_the_page_has_each_candidate_by_date(training):
    row, shown = training["candidates"][0], candidates_of(training)[0]
    assert len(row["by_date"]) == DATES - 2
    assert shown.by_date == tuple(row["by_date"][-6:])
    assert shown.log_loss == pytest.approx(np.mean(row["by_date"]))  # the dates have equally many rows
    page = render(ReportInput("A shop", "Who buys?", None, candidates=candidates_of(training)))
    assert " · ".join(f"{loss:.4f}" for loss in shown.by_date) in page


def test_an_earlier_training_has_no_losses_by_date(training):
    rows = [{name: value for name, value in row.items() if name != "by_date"} for row in training["candidates"]]
    assert {candidate.by_date for candidate in candidates_of({"candidates": rows})} == {()}


def test_the_page_says_which_lists_were_cut():
    told = {"sequence_lstm": {"lists": 66092, "longer": 1234, "steps": 50}}
    told |= {"sequence_gru": {"lists": 66092, "longer": 0, "steps": 256}}
    (said,) = cut_lists_of({"cut_lists": told})
    assert said == "sequence_lstm reads the newest 50 steps of a list; 1,234 of 66,092 are longer"
    assert f"<p>{said}.</p>" in render(ReportInput("A shop", "Who buys?", None, cut_lists=(said,)))
    assert cut_lists_of({}) == ()  # a training of an earlier version


def test_only_what_was_trained_by_epochs_has_a_curve():
    told = {"train": [0.5, 0.4], "validation": [0.6, 0.5], "best": 2}
    histories = {"mlp": {"step": "epoch", **told}, "boosted_trees": {"step": "round", **told}}
    (curve,) = training_curves_of({"histories": histories})
    assert (curve.member, curve.kept_epoch, curve.train.tolist()) == ("mlp", 2, [0.5, 0.4])
