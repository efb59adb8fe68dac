import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.ensemble.combine import Ensemble, combine
from training.evaluation.bootstrap import Difference, Interval
from training.evaluation.evaluate import evaluate
from training.evaluation.paired import MARGIN, REGRESSION, Paired, best_member, itself, no_worse

NAN = float("nan")
AUC = "no worse in AUC"


def against(member="trees", *, best=True, auc=(-0.001, 0.001), ece=(-0.001, 0.001)):
    ends = {"roc_auc": auc, "log_loss": (0.0, 0.001), "ece": ece}
    found = {name: Difference(name, sum(pair) / 2, Interval(*pair)) for name, pair in ends.items()}
    return Paired(member, found, best)


def answers(pair):
    return {one.question: (one.answer, one.why) for one in pair.requirements}


@pytest.mark.parametrize(
    ("low", "high", "answer", "why"),
    [
        (0.001, 0.004, "yes", "the lower end is ≥ -0.003"),  # ahead
        (-0.0029, 0.004, "yes", "the lower end is ≥ -0.003"),
        (-0.003, -0.001, "yes", "the lower end is ≥ -0.003"),  # behind, by no more than the margin
        (-0.0031, 0.02, "not shown", "the interval reaches below -0.003"),
        (-0.02, -0.001, "not shown", "the interval reaches below -0.003"),  # behind, by how much is open
        (-0.02, -0.003, "not shown", "the interval reaches below -0.003"),
        (-0.02, -0.0031, "no", "the whole interval is below -0.003"),
        (NAN, NAN, "not shown", "too few draws define it"),
    ],
)
def test_no_worse_is_where_the_whole_interval_lies_to_the_margin(low, high, answer, why):
    assert no_worse(Interval(low, high)) == answer
    assert answers(against(auc=(low, high)))[AUC] == (answer, why)


@pytest.mark.parametrize(
    ("low", "high", "answer", "why"),
    [
        (-0.005, -0.001, "yes", "ECE is ahead"),
        (-0.005, 0.0, "not shown", "ECE is inside the noise"),
        (-0.005, 0.004, "not shown", "ECE is inside the noise"),
        (0.001, 0.004, "no", "ECE is behind"),
        (NAN, NAN, "not shown", "too few draws define it"),
    ],
)
def test_better_calibrated_only_with_the_whole_interval_below_zero(low, high, answer, why):
    assert answers(against(ece=(low, high)))["better calibrated"] == (answer, why)


def test_of_the_best_member_both_are_required():
    met = against(auc=(-0.002, 0.001), ece=(-0.003, -0.001))
    assert all(one.required and one.met for one in met.requirements)
    assert [one.text for one in met.requirements] == [
        "required: no worse in AUC? yes, the lower end is ≥ -0.003",
        "required: better calibrated? yes, ECE is ahead",
    ]
    assert [one.met for one in against(auc=(-0.004, 0.001)).requirements] == [False, False]


def test_the_member_alone_is_advised_only_where_a_required_calibration_is_worse():
    advice = "To serve the best member alone, run: intent train --member trees"
    worse = (0.001, 0.004)
    assert [one.advice for one in against(ece=worse).requirements] == ["", advice]
    assert against(ece=worse).requirements_json()["requirements"][1]["advice"] == advice
    for pair in (against(), against(ece=(-0.004, -0.001)), against(best=False, ece=worse)):
        assert not any(one.advice for one in pair.requirements)


@pytest.mark.parametrize(
    ("ends", "answer", "why"),
    [
        ((-0.05, 0.02), "yes", "it is inside the noise"),  # no worse is not shown, yet not behind
        ((0.01, 0.02), "yes", "it is ahead"),
        ((-0.002, -0.001), "no", "it is behind"),  # no worse, yet behind
        ((NAN, NAN), "not shown", "too few draws define it"),
    ],
)
@pytest.mark.parametrize("best", [True, False])
def test_of_regression_it_is_required_not_to_be_behind(ends, answer, why, best):
    pair = against(REGRESSION, best=best, auc=ends)
    assert answers(pair)["not behind in AUC"] == (answer, why)
    assert {one.question: one.required for one in pair.requirements} == {
        AUC: best,
        "not behind in AUC": True,
        "better calibrated": best,
    }


def test_what_is_only_told_is_never_missed():
    pair = against("recency", best=False, auc=(-0.2, -0.1), ece=(0.1, 0.2))
    assert [(one.answer, one.met) for one in pair.requirements] == [("no", True), ("no", True)]
    assert pair.requirements[0].text == "no worse in AUC? no, the whole interval is below -0.003"


def test_only_what_was_drawn_is_answered():
    pair = against()
    alone = Paired("trees", {"ece": pair.differences["ece"]})
    assert [one.question for one in alone.requirements] == ["better calibrated"]
    assert Paired("trees", {"f1": Difference("f1", 0.0, Interval(0.0, 0.0))}).requirements == ()


def test_nothing_is_asked_of_an_ensemble_that_is_the_member():
    nothing = {name: Difference(name, -0.0, Interval(-0.0, 0.0)) for name in ("roc_auc", "log_loss", "ece")}
    assert Paired("trees", nothing).same
    assert Paired("trees", nothing).requirements == ()
    recalibrated = nothing | {"ece": Difference("ece", -0.01, Interval(-0.02, -0.01))}
    assert answers(Paired("trees", recalibrated))["better calibrated"] == ("yes", "ECE is ahead")
    assert Paired("trees", {name: nothing[name] for name in ("roc_auc", "ece")}).requirements == ()
    # Of the AUC alone it is open whether the ensemble is the member or orders as the member does.
    assert answers(Paired("trees", {"roc_auc": nothing["roc_auc"]}))[AUC][0] == "yes"


ORDER = ("no", "not shown", "yes")
ENDS = st.floats(-0.1, 0.1)


@given(st.tuples(ENDS, ENDS), st.floats(0, 0.1), st.floats(0, 0.1), st.floats(0, 0.05))
def test_a_higher_interval_or_a_wider_margin_never_makes_the_answer_worse(ends, up_low, up_high, margin):
    low, high = sorted(ends)
    before = ORDER.index(no_worse(Interval(low, high), margin))
    raised = Interval(min(low + up_low, high + up_high), high + up_high)
    assert ORDER.index(no_worse(raised, margin)) >= before
    assert ORDER.index(no_worse(Interval(low, high), margin + up_low)) >= before


@given(st.tuples(ENDS, ENDS))
def test_ahead_is_no_worse_and_worse_is_behind(ends):
    found = Difference("roc_auc", 0.0, Interval(*sorted(ends)))
    answer = no_worse(found.interval)
    assert answer == "yes" or found.verdict != "ahead"
    assert answer != "no" or found.verdict == "behind"


@given(st.tuples(ENDS, ENDS), st.sampled_from(["roc_auc", "ece"]))
def test_seen_from_the_other_side_ahead_is_behind(ends, metric):
    found = Difference(metric, sum(ends) / 2, Interval(*sorted(ends)))
    other = {"ahead": "behind", "behind": "ahead", "inside the noise": "inside the noise"}
    assert found.reversed().verdict == other[found.verdict]
    assert found.reversed().reversed() == found


def with_regression(predictions):
    """`sharp` stays the best; `logistic_regression` is what `blunt` was."""
    p = predictions.probability
    return replace(
        predictions, probability={"sharp": p["sharp"], REGRESSION: p["blunt"], "ensemble": p["ensemble"]}, slices={}
    )


def test_the_evaluation_asks_against_the_best_member_and_regression(predictions):
    found = evaluate(with_regression(predictions), seed=5, draws=200)
    assert [(pair.member, pair.best) for pair in found.pairs] == [("sharp", True), (REGRESSION, False)]
    low = found.paired.differences["roc_auc"].interval.low
    assert low < -MARGIN
    record = found.to_metrics_json()["paired"]
    assert list(record) == ["ensemble_minus_best_member", "ensemble_minus_logistic_regression"]
    first = record["ensemble_minus_best_member"]
    assert first["margin"] == MARGIN
    assert first["requirements"][0]["answer"] in ("not shown", "no")
    assert [one["text"] for one in first["requirements"]] == [one.text for one in found.paired.requirements]
    apart = record["ensemble_minus_logistic_regression"]
    assert apart["delta_roc_auc"] == found.metrics["ensemble"]["roc_auc"] - found.metrics[REGRESSION]["roc_auc"]
    assert apart["requirements"][1]["text"] == "required: not behind in AUC? yes, it is ahead"


def test_regression_that_is_the_best_is_asked_about_once(predictions):
    sharp, ensemble = predictions.probability["sharp"], predictions.probability["ensemble"]
    found = evaluate(replace(predictions, probability={REGRESSION: sharp, "ensemble": ensemble}), seed=5, draws=50)
    assert [pair.member for pair in found.pairs] == [REGRESSION]
    assert [one.required for one in found.requirements] == [True, True, True]


def test_an_ensemble_that_is_its_best_member_has_nothing_to_show(predictions):
    sharp = predictions.probability["sharp"]
    found = evaluate(replace(predictions, probability={"sharp": sharp, "ensemble": sharp}), seed=5, draws=50)
    assert found.paired.same
    assert found.requirements == ()
    record = found.to_metrics_json()["paired"]["ensemble_minus_best_member"]
    assert (record["same"], record["requirements"]) == (True, [])
    assert itself(found.metrics) == "sharp"


def test_the_member_that_the_ensemble_is_need_not_be_the_best(predictions):
    p = predictions.probability
    members = {"sharp": p["sharp"], "blunt": p["blunt"], "ensemble": p["blunt"]}
    found = evaluate(replace(predictions, probability=members, slices={}), seed=5, draws=100)
    assert itself(found.metrics) == "blunt"
    assert found.paired.member == "sharp"
    assert answers(found.paired)[AUC][0] == "no"


def test_who_is_best_is_told_by_auc_then_log_loss_then_name():
    metrics = {
        "b": {"roc_auc": 0.7, "log_loss": 0.4},
        "a": {"roc_auc": 0.7, "log_loss": 0.4},
        "c": {"roc_auc": 0.7, "log_loss": 0.5},
        "ensemble": {"roc_auc": 0.9, "log_loss": 0.1},
    }
    assert best_member(metrics) == "a"
    assert best_member({"ensemble": metrics["ensemble"]}) is None


def test_what_was_not_judged_is_no_member():
    assert itself({}) is None
    assert itself({"a": {"log_loss": 0.4}}) is None
    assert itself({"a": {"log_loss": None}, "ensemble": {"log_loss": None}}) is None
    assert itself({"a": {"log_loss": math.inf}, "ensemble": {"log_loss": math.inf}}) is None
    assert itself({"a": {"log_loss": 0.4}, "ensemble": {"log_loss": 0.40001}}) is None
    assert itself({"a": {"log_loss": 0.4}, "ensemble": {"log_loss": 0.4, "ece": 0.1}}) is None


@pytest.mark.parametrize(("undefined", "is_it"), [(math.nan, True), (None, True), (0.5, False)])
def test_rounding_makes_no_other_member(undefined, is_it):
    nothing = None if undefined is None else math.nan
    member = {"log_loss": 0.4, "log_loss_ci": [0.3, 0.5], "ece": nothing, "ece_ci": [nothing, nothing]}
    rounded = {"log_loss": np.nextafter(0.4, 1), "log_loss_ci": [np.nextafter(0.3, 0), 0.5]}
    ensemble = rounded | {"ece": undefined, "ece_ci": [undefined, undefined]}
    assert itself({"a": member, "ensemble": ensemble}) == ("a" if is_it else None)


def test_an_ensemble_that_is_a_member_but_for_the_last_bit_has_nothing_to_show(predictions):
    members = {name: predictions.probability[name] for name in ("sharp", "blunt")}
    combined = combine(Ensemble("log_odds", ("sharp", "blunt"), (1.0, 0.0)), members)
    assert not np.array_equal(combined, members["sharp"])
    found = evaluate(replace(predictions, probability=members | {"ensemble": combined}), seed=5, draws=50)
    assert found.paired.same
    assert found.requirements == ()
    assert itself(found.metrics) == itself(found.to_metrics_json()["test"]) == "sharp"


def test_an_ensemble_that_is_nearly_a_member_is_asked(predictions):
    members = {name: predictions.probability[name] for name in ("sharp", "blunt")}
    combined = combine(Ensemble("log_odds", ("sharp", "blunt"), (0.999, 0.001)), members)
    found = evaluate(replace(predictions, probability=members | {"ensemble": combined}), seed=5, draws=50)
    assert not found.paired.same
    assert itself(found.metrics) is None
