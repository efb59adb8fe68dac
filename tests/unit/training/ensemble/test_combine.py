import ast
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit

import training.ensemble.combine as module
from training.ensemble.combine import NEVER_SURER, Calibration, Ensemble, calibrate, combine, log_odds, sigmoid

P = {"a": np.array([0.1, 0.5, 0.9]), "b": np.array([0.3, 0.5, 0.5]), "c": np.array([0.0, 1.0, 0.2])}


def test_mean_is_of_probabilities():
    found = combine(Ensemble("mean", ("a", "b"), (0.5, 0.5)), P)
    np.testing.assert_allclose(found, [0.2, 0.5, 0.7])


def test_log_odds_are_averaged_on_their_scale():
    found = combine(Ensemble("log_odds", ("a", "b"), (0.25, 0.75)), P)
    np.testing.assert_allclose(found, expit(0.25 * logit(P["a"]) + 0.75 * logit(P["b"])))


def test_stacker_adds_its_intercept():
    found = combine(Ensemble("stacker", ("a", "b"), (0.5, 0.7), intercept=-0.2), P)
    np.testing.assert_allclose(found, expit(0.5 * logit(P["a"]) + 0.7 * logit(P["b"]) - 0.2))


def test_a_member_of_weight_0_need_not_be_there():
    ensemble = Ensemble("mean", ("a", "gone"), (1.0, 0.0))
    assert ensemble.used == ("a",)
    np.testing.assert_array_equal(combine(ensemble, {"a": P["a"]}), P["a"])


def test_a_member_that_counts_must_be_there():
    with pytest.raises(KeyError, match="b"):
        combine(Ensemble("mean", ("a", "b"), (0.5, 0.5)), {"a": P["a"]})


@pytest.mark.parametrize("method", ["mean", "log_odds", "stacker"])
def test_certain_members_do_not_make_the_answer_certain(method):
    found = combine(Ensemble(method, ("c",), (1.0,)), P)
    np.testing.assert_allclose(found[:2], [NEVER_SURER, 1 - NEVER_SURER])


@pytest.mark.parametrize(
    ("calibration", "expected"),
    [
        (Calibration(), P["a"]),
        (Calibration("platt", slope=0.8, intercept=0.1), expit(0.8 * logit(P["a"]) + 0.1)),
        (
            Calibration("beta", slope=0.8, slope_other=1.2, intercept=0.1),
            expit(0.8 * np.log(P["a"]) - 1.2 * np.log(1 - P["a"]) + 0.1),
        ),
        (Calibration("isotonic", x=(0.2, 0.5, 0.6), y=(0.1, 0.3, 0.8)), [0.1, 0.3, 0.8]),
    ],
)
def test_calibrations_by_their_formulas(calibration, expected):
    np.testing.assert_allclose(calibrate(calibration, P["a"]), expected)


def test_survives_json():
    ensemble = Ensemble("mean", ("a", "b"), (0.5, 0.5), 0.0, Calibration("isotonic", x=(0.1, 0.9), y=(0.2, 0.8)))
    assert Ensemble.from_json(json.loads(json.dumps(ensemble.to_json()))) == ensemble


def test_one_row_and_none():
    ensemble = Ensemble("log_odds", ("a",), (1.0,), 0.0, Calibration("platt", 0.9, intercept=0.1))
    one = combine(ensemble, {"a": np.array([0.9])})
    np.testing.assert_array_equal(one, combine(ensemble, P)[2:])
    assert combine(ensemble, {"a": np.array([])}).shape == (0,)


def test_log_odds_and_sigmoid_undo_each_other_without_overflow():
    p = np.array([1e-6, 0.3, 0.999])
    np.testing.assert_allclose(sigmoid(log_odds(p)), p, rtol=1e-9)
    with np.errstate(all="raise"):
        assert sigmoid(np.array([-700.0, 700.0])).tolist() == [pytest.approx(0, abs=1e-300), 1.0]


def test_needs_numpy_only():
    tree = ast.parse(Path(module.__file__).read_text())
    imported = {node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= {"collections", "dataclasses", "typing", "numpy"}
