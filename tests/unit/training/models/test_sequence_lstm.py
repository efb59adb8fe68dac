import json
from itertools import pairwise

import numpy as np
import onnx
import onnxruntime
import pytest

from feature_repo.transforms.encoding import SequenceEncoding
from tests.simulated_examples import HORIZON_DAYS, nothing_known, simulated_examples
from training.models.contract import FitSettings
from training.models.sequence_lstm.input_pipeline import (
    PAD,
    Inputs,
    equal_length_batches,
    inputs_of,
    shuffled_batches,
)
from training.models.sequence_lstm.layers import build_network
from training.models.sequence_lstm.model import MEMBER, margins

LENGTHS = np.array([1, 50, 3, 3, 1, 7, 3, 2])


def lists(lengths=LENGTHS, channels=2):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values = np.arange(offsets[-1] * channels, dtype=np.float32).reshape(-1, channels)
    return Inputs(values, offsets, np.zeros((len(lengths), 1), np.float32))


@pytest.fixture(scope="module")
def periods():
    return simulated_examples()


@pytest.fixture(scope="module")
def fitted(periods):
    return MEMBER.fit(*periods, FitSettings(HORIZON_DAYS, seed=2))


def test_padding_comes_last():
    padded = lists().padded(np.array([2, 4]))
    assert padded.shape == (2, 3, 2)
    assert (padded[1, 1:] == PAD).all()
    assert (padded[0] != PAD).all()
    np.testing.assert_array_equal(padded[0], lists().values[51:54])


def test_shuffled_batches_hold_every_row_once_and_little_padding():
    lengths = np.random.default_rng(0).geometric(0.4, 5000)
    batches = list(shuffled_batches(lengths, 64, np.random.default_rng(1)))
    assert sorted(np.concatenate(batches)) == list(range(5000))
    steps = sum(len(rows) * lengths[rows].max() for rows in batches)
    assert steps < 1.2 * lengths.sum()


def test_batches_depend_on_the_seed_only():
    first, second = (np.concatenate(list(shuffled_batches(LENGTHS, 2, np.random.default_rng(4)))) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_equal_length_batches_need_no_padding():
    batches = list(equal_length_batches(LENGTHS, 2))
    assert sorted(np.concatenate(batches)) == list(range(len(LENGTHS)))
    assert all(len(set(LENGTHS[rows])) == 1 and len(rows) <= 2 for rows in batches)
    assert list(equal_length_batches(np.array([], np.int64), 2)) in ([], [pytest.approx([])])


def test_a_customer_without_baskets_is_one_step_of_zeros(fitted):
    inputs = inputs_of(fitted.sequence, fitted.tabular, nothing_known(3))
    assert inputs.lengths.tolist() == [1, 1, 1]
    assert not inputs.values.any()


def test_training_sees_no_less_than_serving(fitted, periods):
    """Masked and padded, as trained, against unpadded, as served: 1,000 customers and one without baskets."""
    train = periods[0].take(np.arange(1000)).features
    inputs = inputs_of(fitted.sequence, fitted.tabular, train)
    masked = build_network(inputs.values.shape[1], inputs.tabular.shape[1], masked=True)
    masked.set_weights(fitted.network.get_weights())
    rows = np.arange(1000)
    in_training = masked([inputs.padded(rows), inputs.tabular], training=False).numpy()[:, 0]
    np.testing.assert_allclose(in_training, margins(fitted.network, inputs), atol=1e-5)
    unknown = inputs_of(fitted.sequence, fitted.tabular, nothing_known(1))
    padded = np.concatenate([unknown.padded(np.array([0])), np.full((1, 4, unknown.values.shape[1]), PAD)], axis=1)
    alone = masked([padded.astype(np.float32), unknown.tabular], training=False).numpy()[0, 0]
    assert alone == pytest.approx(margins(fitted.network, unknown)[0], abs=1e-5)


def test_export_is_the_fused_lstm_and_takes_any_length(fitted, periods, tmp_path):
    fitted.export(tmp_path)
    operations = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert "LSTM" in operations
    assert not operations & {"Loop", "Scan", "If"}
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert {item.name for item in session.get_inputs()} == {"sequence", "tabular"}
    sequence = SequenceEncoding.from_json(json.loads((tmp_path / "member.json").read_text())["sequence"])
    features = periods[1].features
    inputs = inputs_of(sequence, fitted.tabular, features)
    served = np.empty(features.n)
    for rows in equal_length_batches(inputs.lengths, 100):
        answer = session.run(["probability"], {"sequence": inputs.padded(rows), "tabular": inputs.tabular[rows]})[0]
        served[rows] = answer[:, 0]
    np.testing.assert_allclose(served, fitted.predict_proba(features), atol=1e-5)


def test_learns_more_than_the_base_rate(fitted, periods):
    p, label = fitted.predict_proba(periods[1].features), periods[1].label
    buyers, others = p[label == 1], p[label == 0]
    assert np.mean(buyers[:, None] > others[None]) > 0.65


def test_learning_rate_falls(fitted):
    rates = fitted.history.learning_rate
    assert all(later < earlier for earlier, later in pairwise(rates))
