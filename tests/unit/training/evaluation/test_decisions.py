import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from feature_repo.errors import InputError, SplitError
from training.evaluation.decision_bootstrap import further_figures
from training.evaluation.decisions import FURTHER, choose_threshold, further_metrics
from training.evaluation.known_names import require_members, require_metrics
from training.evaluation.metrics import METRICS, probability_metrics

PAIRS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=2, max_size=60).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


def arrays(rows):
    label = np.array([one for one, _ in rows], np.int8)
    return label, np.array([score for _, score in rows]) / 20


@given(PAIRS, st.integers(0, 20))
def test_at_a_threshold_as_scikit_learn_counts(rows, step):
    label, p = arrays(rows)
    found, said = further_metrics(label, p, step / 20), (p >= step / 20).astype(int)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(label, said))
    assert found["recall"] == pytest.approx(sk.recall_score(label, said))
    assert found["f1"] == pytest.approx(sk.f1_score(label, said))
    assert found["selection_rate"] == pytest.approx(said.mean())
    if said.any():
        assert found["precision"] == pytest.approx(sk.precision_score(label, said))
    else:
        assert np.isnan(found["precision"])


@given(PAIRS)
def test_the_parts_of_the_brier_score_add_up_to_it(rows):
    label, p = arrays(rows)
    found = further_metrics(label, p)
    brier = probability_metrics(label, p)["brier"]
    assert found["reliability"] - found["resolution"] + found["uncertainty"] == pytest.approx(brier, abs=1e-12)
    assert found["reliability"] >= 0
    assert found["uncertainty"] == pytest.approx(label.mean() * (1 - label.mean()))


@given(PAIRS)
def test_the_threshold_has_the_highest_f1_of_all(rows):
    label, p = arrays(rows)
    best = further_metrics(label, p, choose_threshold(label, p))["f1"]
    assert best == pytest.approx(max(sk.f1_score(label, p >= score) for score in np.unique(p)))


def test_a_sure_order_gains_all_it_can():
    label = np.array([1] * 10 + [0] * 90, np.int8)
    found = further_metrics(label, np.linspace(0.9, 0.1, 100))
    assert found["gain_at_10"] == 1.0
    assert found["gain_at_20"] == 1.0
    assert found["lift_at_5"] == 10.0
    assert found["lift_at_20"] == 5.0


def test_equal_scores_gain_what_chance_gains():
    found = further_metrics(np.array([1, 0, 0, 1], np.int8), np.full(4, 0.5))
    assert found["gain_at_20"] == pytest.approx(0.2)
    assert found["lift_at_5"] == pytest.approx(1.0)


def test_without_a_threshold_nothing_is_decided():
    found = further_metrics(np.array([1, 0], np.int8), np.array([0.5, 0.4]))
    assert np.isnan([found[name] for name in ("accuracy", "precision", "recall", "f1", "selection_rate")]).all()


@pytest.mark.parametrize("label", [[0, 0], [1, 1]])
def test_one_class_gives_no_threshold(label):
    with pytest.raises(SplitError, match="expected both classes"):
        choose_threshold(np.array(label, np.int8), np.array([0.1, 0.2]))


def test_intervals_are_those_of_rows_drawn_by_customer(predictions):
    """The oracle draws the same customers, repeats their rows, and works out each figure anew."""
    rows = predictions.take(np.arange(300))
    customer, draws = rows.customers(), 40
    p, count = rows.probability["sharp"], int(rows.customers().max()) + 1
    found = further_figures(rows.label, {"m": p}, customer, {"m": 0.3}, draws=draws, seed=4)["m"]
    generator, table = np.random.default_rng(4), []
    for _ in range(draws):
        drawn = generator.integers(0, count, count)
        taken = np.concatenate([np.flatnonzero(customer == one) for one in drawn])
        table.append(further_metrics(rows.label[taken], p[taken], 0.3))
    for name in FURTHER:
        assert found[name].value == further_metrics(rows.label, p, 0.3)[name]
        if name in ("reliability", "resolution"):
            continue  # the bins stay those of the whole sample, as for the calibration error
        low, high = np.quantile([row[name] for row in table], [0.025, 0.975])
        assert (found[name].interval.low, found[name].interval.high) == pytest.approx((low, high)), name


def test_a_member_without_a_threshold_has_no_figures_at_one(predictions):
    found = further_figures(predictions.label, {"m": predictions.probability["sharp"]}, predictions.customers(), {},
                            draws=3, seed=1)["m"]  # fmt: skip
    assert np.isnan(found["f1"].value)
    assert np.isnan(found["f1"].interval.low)
    assert found["uncertainty"].interval.low <= found["uncertainty"].value <= found["uncertainty"].interval.high


def test_unknown_names_are_answered_with_the_known_ones():
    assert require_metrics(()) == METRICS
    assert require_metrics(["f1"]) == ("f1",)
    with pytest.raises(InputError, match=r"Metric 'auc' is not known here; expected one of roc_auc, .*gain_at_20"):
        require_metrics(["auc"])
    with pytest.raises(InputError, match="Member 'lstm' is not known here; expected one of trees, ensemble"):
        require_members(["lstm"], ["trees", "ensemble"])
