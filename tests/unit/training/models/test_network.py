"""What all networks share: batches, masks, codes, the candidate item, class weights, penalties, export."""

import json
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import onnx
import pytest

from feature_repo.errors import FeatureError, InputError
from feature_repo.transforms.ragged import Ragged
from services.runtimes import load_member
from tests.simulated_examples import HORIZON_DAYS, nothing_known, simulated_examples
from training.dataset.examples import Examples
from training.models import member
from training.models.contract import CutLists, FitSettings, chosen_parameters
from training.models.fit_encoding import fit_scaled_table, fit_sequence
from training.models.network.inputs import Inputs, equal_length_batches, inputs_of, shuffled_batches
from training.models.network.layers import build_network
from training.models.network.layout import layout_of
from training.models.network.rows import InMemory, OnDisk
from training.models.network.scorer import Scorer

LENGTHS = np.array([1, 50, 3, 3, 1, 7, 3, 2])
SEQUENCES = ("sequence_lstm", "sequence_gru", "sequence_transformer")
SMALL = {"epochs": 3, "hidden": 8, "batch": 64, "learning_rate": 0.01}


def lists(lengths=LENGTHS, channels=2):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values = np.arange(1, 1 + offsets[-1] * channels, dtype=np.float32).reshape(-1, channels)
    return Inputs(values, offsets, np.arange(len(lengths), dtype=np.float32)[:, None])


def told(**parameters):
    return FitSettings(HORIZON_DAYS, seed=2, parameters=SMALL | parameters)


@pytest.fixture(scope="module")
def periods():
    """A simulated shop whose baskets have a code, and whose customers are asked about an item: it decides."""
    return tuple(with_items(period) for period in simulated_examples(400))


def with_items(period: Examples) -> Examples:
    random = np.random.default_rng(8)
    steps = period.features.sequences["gap_before_days"]
    item = random.integers(1, 9, len(period))
    features = replace(
        period.features,
        codes={"event_item": Ragged(random.integers(1, 9, len(steps.values)), steps.offsets)},
        candidate={"event_item": item, "event_category": item // 4},
        numeric=period.features.numeric | {"item_events": random.random(len(period))},
    )
    label = (random.random(len(period)) < np.where(item == 3, 0.9, 0.1)).astype(np.int8)
    return Examples(period.user_id, period.anchor_us, label, features)


@pytest.fixture(scope="module", params=SEQUENCES)
def fitted(request, periods):
    return member(request.param).fit(*periods, told(layers=2, units=8))


def test_padding_comes_last_and_is_nothing():
    padded = lists().padded(np.array([2, 4]))
    assert padded.shape == (2, 3, 2)
    assert not padded[1, 1:].any()
    np.testing.assert_array_equal(padded[0], lists().values[51:54])


@pytest.mark.parametrize("name", [*SEQUENCES, "mlp"])
def test_several_networks_answer_the_mean_of_their_log_odds(name, periods, tmp_path):
    train, later = periods
    three = member(name).fit(train, later, told(networks=3, hidden=8))
    inputs = inputs_of(three.sequence, three.tabular, later.features)
    each = [one for one in three.network.layers if one.name.startswith("functional")]
    assert len(each) == 3
    margins = np.array([Scorer(one).margins(InMemory(inputs)) for one in each])
    assert np.abs(margins[0] - margins[1]).max() > 1e-3  # they are not one network three times
    np.testing.assert_allclose(three.scorer.margins(InMemory(inputs)), margins.mean(axis=0), atol=1e-5)
    three.export(tmp_path)
    served = load_member(three.spec.to_json(), (tmp_path / "model.onnx").read_bytes()).predict(later.features)
    np.testing.assert_allclose(served, three.predict_proba(later.features), atol=1e-5)
    once = three.refit(later, told(networks=3, hidden=8))
    assert once.history.best == three.history.best


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


def test_rows_on_disk_are_the_rows_in_memory(monkeypatch):
    monkeypatch.setattr("training.models.network.rows.SHARD_ROWS", 5)
    whole = lists(np.tile(LENGTHS, 3))
    stored = OnDisk(len(whole))
    for part in (np.arange(7), np.arange(7, len(whole))):
        values = np.concatenate([whole.values[whole.offsets[i] : whole.offsets[i + 1]] for i in part])
        offsets = np.concatenate([[0], np.cumsum(whole.lengths[part])])
        stored.add(Inputs(values, offsets, whole.tabular[part]))
    assert stored.shards == 5
    found = {}
    for number in range(stored.shards):
        rows, inputs = stored.shard(number)
        np.testing.assert_array_equal(inputs.tabular[:, 0], rows)
        found |= {row: inputs.padded(np.array([place]))[0] for place, row in enumerate(rows)}
    assert sorted(found) == list(range(len(whole)))
    for row, steps in found.items():
        np.testing.assert_array_equal(steps, whole.padded(np.array([row]))[0])


def test_a_row_without_steps_is_one_step_of_zeros(fitted):
    features = nothing_known(3)
    nobody = replace(
        features,
        codes={"event_item": Ragged.empty(3, np.int64)},
        candidate={"event_item": np.zeros(3, np.int64), "event_category": np.zeros(3, np.int64)},
        numeric=features.numeric | {"item_events": np.zeros(3)},
    )
    inputs = inputs_of(fitted.sequence, fitted.tabular, nobody)
    assert inputs.lengths.tolist() == [1, 1, 1]
    assert not inputs.values.any()
    assert np.ptp(fitted.predict_proba(nobody)) < 1e-6


def test_the_newest_steps_of_a_longer_list_are_read(fitted, periods):
    features = periods[1].features.take(np.arange(50))
    short = replace(fitted.sequence, max_length=2)
    values, offsets = short.apply(features)
    assert np.diff(offsets).max() == 2
    everything, starts = fitted.sequence.apply(features)
    for row in range(50):
        newest = everything[starts[row] : starts[row + 1]][-2:]
        np.testing.assert_array_equal(values[offsets[row] : offsets[row + 1]], newest)


def test_it_is_told_how_many_lists_are_longer_than_what_is_read(fitted, periods):
    lengths = periods[0].features.sequences["gap_before_days"].lengths
    assert fitted.cut_lists == CutLists(len(periods[0]), 0, 50)
    few = replace(fitted, sequence=replace(fitted.sequence, max_length=3)).refit(periods[0], told(epochs=1))
    assert few.cut_lists == CutLists(len(lengths), int((lengths > 3).sum()), 3)
    assert "reads the newest 3 steps of a list" in few.cut_lists.told("it")


def test_a_list_of_another_view_is_refused_where_it_is_fitted_and_where_it_is_served(fitted, periods, tmp_path):
    longer = with_longer_lists(periods[1].take(np.arange(20)), fitted.sequence.kept + 1)
    refused = pytest.raises(FeatureError, match="has 51 steps; expected at most 50, as its view kept")
    with refused:
        fitted.predict_proba(longer.features)
    with refused:
        fitted.refit(longer, told())
    fitted.export(tmp_path)
    spec = json.loads((tmp_path / "member.json").read_text())
    served = load_member(spec, (tmp_path / "model.onnx").read_bytes())
    with refused:
        served.predict(longer.features)
    one = with_longer_lists(periods[1].take(np.arange(1)), fitted.sequence.kept)
    assert 0 < served.predict(one.features)[0] < 1


def with_longer_lists(examples, steps):
    """Return the examples with lists of so many steps, all alike."""
    n = len(examples)
    offsets = np.arange(n + 1) * steps
    features = examples.features
    lists = {name: Ragged(np.ones(n * steps), offsets) for name in features.sequences}
    codes = {name: Ragged(np.ones(n * steps, np.int64), offsets) for name in features.codes}
    return replace(examples, features=replace(features, sequences=lists, codes=codes))


def test_training_sees_no_less_than_serving_and_padding_is_not_seen(fitted, periods):
    """Padded as trained, the padding filled with anything, against unpadded as served."""
    inputs = inputs_of(fitted.sequence, fitted.tabular, periods[0].features.take(np.arange(300)))
    layout = layout_of(fitted.sequence, fitted.tabular)
    network = build_network(layout, fitted.kind.architecture, fitted.parameters, padded=True)
    network.set_weights(fitted.network.get_weights())
    rows = np.arange(300)
    padded, lengths = inputs.padded(rows), inputs.lengths.astype(np.int32)
    noise = np.random.default_rng(0).integers(0, 9, padded.shape).astype(np.float32)
    garbage = np.where(np.arange(padded.shape[1])[None, :, None] < lengths[:, None, None], padded, noise)
    served = fitted.scorer.margins(InMemory(inputs))
    for steps in (padded, garbage):
        in_training = network([steps, lengths, inputs.tabular], training=False).numpy()[:, 0]
        np.testing.assert_allclose(in_training, served, atol=1e-5)


@pytest.mark.parametrize("fitted", ["sequence_transformer"], indirect=True)
def test_the_transformer_hears_of_time_through_its_frequencies(fitted, periods):
    """Steps have no numbers: of times, the sines tell what the attention has beside them."""
    inputs = inputs_of(fitted.sequence, fitted.tabular, periods[1].features.take(np.arange(200)))
    before, kept = fitted.scorer.margins(InMemory(inputs)), fitted.network.get_weights()
    layer = fitted.network.get_layer("frequencies")
    assert layer.kernel.shape[0] == len(layout_of(fitted.sequence, fitted.tabular).times) >= 1
    try:
        layer.set_weights([np.zeros_like(weights) for weights in layer.get_weights()])
        assert np.abs(fitted.scorer.margins(InMemory(inputs)) - before).max() > 1e-3
    finally:
        fitted.network.set_weights(kept)
    np.testing.assert_allclose(fitted.scorer.margins(InMemory(inputs)), before, atol=1e-6)


def test_export_has_no_loop_and_answers_the_same(fitted, periods, tmp_path):
    fitted.export(tmp_path)
    operations = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    fused = {"sequence_lstm": "LSTM", "sequence_gru": "GRU"}.get(fitted.kind.name)
    assert fused is None or operations.count(fused) == 2
    assert not set(operations) & {"Loop", "Scan", "If"}
    features = periods[1].features.take(np.arange(200))
    served = load_member(fitted.spec.to_json(), (tmp_path / "model.onnx").read_bytes()).predict(features)
    np.testing.assert_allclose(served, fitted.predict_proba(features), atol=1e-5)


def test_learning_rate_falls(fitted):
    rates = fitted.history.learning_rate
    assert all(later < earlier for earlier, later in pairwise(rates))


@pytest.mark.parametrize("name", ["mlp", "sequence_gru"])
def test_the_item_that_is_asked_about_decides(name, periods):
    """Whether it is item 3 says nearly everything, and only the candidate's code says so."""
    fitted = member(name).fit(*periods, told(epochs=12))
    p = fitted.predict_proba(periods[1].features)
    asked = periods[1].features.candidate["event_item"] == 3
    assert p[asked].mean() > 0.6
    assert p[~asked].mean() < 0.25
    assert fitted.tabular.codes == ("event_item", "event_category")


def test_codes_are_left_out_if_told_so(periods):
    fitted = member("mlp").fit(*periods, told(embedding=0))
    assert fitted.tabular.codes == ()


def test_the_lstm_has_two_layers_with_dropout_between_them_unless_told_otherwise(periods):
    lstm = member("sequence_lstm")
    chosen = chosen_parameters(lstm.name, lstm.parameters, {})
    assert chosen["dropout"] > 0
    fitted = lstm.fit(periods[0], None, replace(told(), parameters={"epochs": 1, "units": 4, "batch": 256}))
    layers = {layer.name: layer for layer in fitted.network.layers}
    assert [name for name in layers if name.startswith("lstm")] == ["lstm_0", "lstm_1"]
    (between,) = [layer for layer in layers.values() if layer.output is layers["lstm_1"].input]
    assert between.rate == chosen["dropout"]


@pytest.mark.parametrize("name", ["mlp", *SEQUENCES])
@pytest.mark.parametrize(("l1", "l2"), [(1e-3, 0.0), (0.0, 1e-2), (1e-4, 1e-3), (0.0, 0.0)])
def test_penalties_are_on_every_matrix_of_weights(name, periods, l1, l2):
    features = periods[0].features
    sequence = None if name == "mlp" else fit_sequence(features, features.sequences, 50, codes=True)
    layout = layout_of(sequence, fit_scaled_table(features, ["recency_days", "item_events"], codes=True))
    kind = member(name)
    chosen = chosen_parameters(name, kind.parameters, {"hidden": 8, "l1": l1, "l2": l2})
    chosen |= {"layers": 2, "units": 8} if sequence else {}
    network = build_network(layout, kind.architecture, chosen, padded=True)
    matrices = [weights for weights in network.trainable_variables if weights.name.endswith(("kernel", "embeddings"))]
    matrices = [weights.numpy() for weights in matrices if "frequencies" not in weights.path]
    carried = [weights for weights in network.trainable_variables if weights.name == "recurrent_kernel"]
    assert len(carried) == (2 if name in ("sequence_lstm", "sequence_gru") else 0)
    expected = sum(l1 * np.abs(weights).sum() + l2 * (weights**2).sum() for weights in matrices)
    assert float(sum(network.losses)) == pytest.approx(float(expected), rel=1e-4)
    assert bool(network.losses) == bool(l1 or l2)


def test_penalties_make_weights_smaller(periods):
    def size(**parameters):
        fitted = member("mlp").fit(*periods, told(**parameters))
        return sum(np.abs(weights).sum() for weights in fitted.network.get_weights() if weights.ndim == 2)

    plain = size()
    assert size(l1=1e-3) < plain
    assert size(l2=1e-2) < plain


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_schedules_rise_first_and_end_where_they_should(periods, schedule):
    fitted = member("mlp").fit(periods[0], None, told(schedule=schedule, warm_up=0.3, epochs=4))
    rates = fitted.history.learning_rate
    assert max(rates) == pytest.approx(0.01, rel=0.6)
    assert rates[-1] == pytest.approx(0.01 if schedule == "constant" else 0.0002, rel=0.1)


def test_stops_early_and_keeps_the_best_epoch(periods):
    train, stop = periods
    turned = Examples(stop.user_id, stop.anchor_us, 1 - stop.label, stop.features)
    fitted = member("mlp").fit(train, turned, told(epochs=30, patience=2))
    assert len(fitted.history.validation) < 30
    assert fitted.history.best <= len(fitted.history.validation) - 2


def test_what_is_not_installed_is_told_with_the_command(periods, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(InputError, match=r"'mlp' needs the package 'tf2onnx', .* Run `make setup`"):
        member("mlp").fit(*periods, told())
