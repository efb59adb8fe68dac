"""An LSTM over the customer's last baskets, with recency, frequency, tenure, age, area as a second input."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from feature_repo.errors import InputError
from feature_repo.transforms.customer import CustomerFeatures, customer_features
from feature_repo.transforms.encoding import SequenceEncoding, TabularEncoding
from training.dataset.examples import Examples
from training.date_levels import date_codes, date_levels, levelled_log_loss, pooled_level
from training.models.contract import (
    FitSettings,
    Fitted,
    History,
    MemberSpec,
    Parameter,
    require_both_classes,
    write_member,
)
from training.models.fit_encoding import fit_scaled_table, fit_sequence, rows_to_fit
from training.models.sequence_lstm.input_pipeline import Inputs, equal_length_batches, inputs_of, shuffled_batches
from training.models.sequence_lstm.layers import build_network, to_onnx

__all__ = ["MEMBER", "FittedLstm", "SequenceLstm", "margins"]

BASKETS = 50
FEATURES = (
    "recency_days",
    "tenure_days",
    "lifetime_baskets",
    "lifetime_revenue",
    "revenue_per_basket",
    "baskets_7d",
    "baskets_14d",
    "baskets_28d",
    "gap_mean",
    "late_by_gap_ratio",
)
EPOCHS = 8
BATCH = 1024
LEARNING_RATE = 2e-3
LAST_RATE = 0.02  # share of it that is left after `EPOCHS`, along a cosine
WEIGHT_DECAY = 1e-4
AVERAGED_OVER = 0.99
PATIENCE = 3
# Losses of epochs this close are the same: the noise of a few thousand buyers is no reason to stop sooner.
NO_WORSE = 3e-4
ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class FittedLstm:
    """A network without masks, its last bias at the pooled level of demand."""

    tabular: TabularEncoding
    sequence: SequenceEncoding
    network: Any
    history: History
    importance: dict[str, float] = field(default_factory=dict)

    @property
    def spec(self) -> MemberSpec:
        """An ONNX graph over the scaled table and the unpadded sequence."""
        return MemberSpec("sequence_lstm", "onnx", tabular=self.tabular, sequence=self.sequence)

    def predict_proba(self, features: CustomerFeatures) -> NDArray[np.float64]:
        """Return the probability for each row, shape (n,)."""
        return np.asarray(expit(margins(self.network, inputs_of(self.sequence, self.tabular, features))))

    def refit(self, examples: Examples, settings: FitSettings) -> Fitted:
        """Train a new network for as many epochs on other examples."""
        return _fit(self.tabular, self.sequence, examples, None, self.history.best, settings)

    def export(self, folder: Path) -> None:
        """Write the network as ONNX."""
        write_member(folder, self.spec, to_onnx(self.network))


class SequenceLstm:
    """The member `sequence_lstm`."""

    name = "sequence_lstm"
    parameters: tuple[Parameter, ...] = ()
    needs_sequence = True

    def fit(self, train: Examples, validation: Examples | None, settings: FitSettings) -> Fitted:
        """Train until `validation` gets no better for `PATIENCE` epochs, or for `EPOCHS` without it.

        Raises:
            InputError: TensorFlow is not installed.
        """
        names = network_features(train.features)
        train = rows_to_fit(train, names, settings.impute)
        require_both_classes(train)
        tabular = fit_scaled_table(train.features, names, train.features.categorical, settings.impute)
        sequence = fit_sequence(train.features, train.features.sequences, BASKETS)
        return _fit(tabular, sequence, train, validation, EPOCHS, settings)


def network_features(features: CustomerFeatures) -> list[str]:
    """Return the numbers that go in beside the sequence.

    Of a customer's purchases these are `FEATURES`, for the sequence tells the rest; what a task adds goes in whole.
    """
    of_purchases = customer_features({}, np.zeros(0, np.int64)).numeric
    chosen = [name for name in FEATURES if name in features.numeric]
    return chosen + [name for name in features.numeric if name not in of_purchases]


def margins(network: Any, inputs: Inputs) -> NDArray[np.float64]:
    """Return the log-odds that an unmasked `network` gives each list of `inputs`, unpadded, shape (n,)."""
    import tensorflow as tf

    # One trace for all shapes; calling the model itself would run layer by layer.
    channels, columns = inputs.values.shape[1], inputs.tabular.shape[1]
    signature = [tf.TensorSpec((None, None, channels), tf.float32), tf.TensorSpec((None, columns), tf.float32)]
    score = tf.function(lambda lists, table: network([lists, table], training=False), input_signature=signature)
    result = np.empty(len(inputs))
    for rows in equal_length_batches(inputs.lengths, ROWS_AT_ONCE):
        result[rows] = score(inputs.padded(rows), inputs.tabular[rows]).numpy()[:, 0]
    return result


def _fit(
    tabular: TabularEncoding,
    sequence: SequenceEncoding,
    train: Examples,
    stop: Examples | None,
    epochs: int,
    settings: FitSettings,
) -> FittedLstm:
    """Train for `epochs`, or until `stop` gets no better; keep the averaged weights of the best epoch."""
    keras = _quiet_keras(settings.seed)
    inputs, codes = inputs_of(sequence, tabular, train.features), date_codes(train.anchor_us)
    checked = None if stop is None else inputs_of(sequence, tabular, stop.features)
    training = _Training(keras, inputs, train.label, codes, settings.seed)
    history, best, kept = History("epoch"), np.inf, None
    with settings.progress.task("sequence_lstm", epochs, "epochs") as task:
        for epoch in range(epochs):
            history.train.append(training.run_epoch())
            history.learning_rate.append(training.learning_rate())
            task.advance()
            if stop is None or checked is None:
                continue
            probability = expit(margins(training.averaged, checked))
            history.validation.append(levelled_log_loss(probability, stop.label, stop.anchor_us))
            best = min(best, history.validation[-1])
            if history.validation[-1] <= best + NO_WORSE:
                history, kept = replace(history, best=epoch + 1), training.averaged.get_weights()
            elif epoch + 1 - history.best >= PATIENCE:
                break
    if kept is None:
        history = replace(history, best=epochs)
    else:
        training.averaged.set_weights(kept)
    _set_level(training.averaged, inputs, train.label, codes)
    return FittedLstm(tabular, sequence, training.averaged, history)


class _Training:
    """One network in training, and beside it the moving average of its weights, which is what gets used.

    Averaged weights are steadier than those of any step, from seed to seed and from week to week.
    """

    def __init__(
        self, keras: Any, inputs: Inputs, label: NDArray[np.int8], codes: NDArray[np.int64], seed: int
    ) -> None:
        import tensorflow as tf

        channels, columns = inputs.values.shape[1], inputs.tabular.shape[1]
        self._inputs, self._label, self._codes = inputs, label.astype(np.float32), codes
        self._random = np.random.default_rng(seed)
        self._network = build_network(channels, columns, masked=True)
        self.averaged = build_network(channels, columns, masked=False)
        self.averaged.set_weights(self._network.get_weights())
        start = date_levels(np.zeros(len(label)), label, codes)
        self._levels = tf.Variable(start.astype(np.float32))
        steps = EPOCHS * -(-len(label) // BATCH)
        schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps, alpha=LAST_RATE)
        self._optimizer = keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY)
        self._trainable = [*self._network.trainable_variables, self._levels]
        self._optimizer.build(self._trainable)
        self._steps = tf.Variable(0.0)
        signature = [
            tf.TensorSpec((None, None, channels), tf.float32),
            tf.TensorSpec((None, columns), tf.float32),
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((None,), tf.int64),
        ]
        self._step = tf.function(self._take_step, input_signature=signature, jit_compile=False)

    def run_epoch(self) -> float:
        """Show the network every row once, and return the mean log loss of the steps."""
        total = 0.0
        for rows in shuffled_batches(self._inputs.lengths, BATCH, self._random):
            loss = self._step(
                self._inputs.padded(rows), self._inputs.tabular[rows], self._label[rows], self._codes[rows]
            )
            total += float(loss) * len(rows)
        return total / len(self._inputs)

    def learning_rate(self) -> float:
        """Return the rate of the last step."""
        return float(self._optimizer.learning_rate)

    def _take_step(self, lists: Any, table: Any, label: Any, codes: Any) -> Any:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            margin = self._network([lists, table], training=True)[:, 0] + tf.gather(self._levels, codes)
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(label, margin))
        self._optimizer.apply(tape.gradient(loss, self._trainable), self._trainable)
        self._steps.assign_add(1.0)
        # The first steps are far from where the weights go: they leave the average quickly.
        keep = tf.minimum(AVERAGED_OVER, self._steps / (self._steps + 10.0))
        for mean, now in zip(self.averaged.trainable_variables, self._network.trainable_variables, strict=True):
            mean.assign(keep * mean + (1.0 - keep) * now)
        return loss


def _set_level(network: Any, inputs: Inputs, label: NDArray[np.int8], codes: NDArray[np.int64]) -> None:
    """Move the last bias so that the network answers at the pooled level of the dates it was trained on."""
    found = margins(network, inputs)
    weights, bias = network.get_layer("margin").get_weights()
    level = pooled_level(found, date_levels(found, label, codes))
    network.get_layer("margin").set_weights([weights, bias + np.float32(level)])


def _quiet_keras(seed: int) -> Any:
    """Import Keras on TensorFlow without its log lines, and make all that follows repeatable."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its kernels add up in another order on another processor
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    try:
        import keras
        import tensorflow as tf
    except ModuleNotFoundError as error:
        raise InputError(
            f"Member 'sequence_lstm' needs the package {error.name!r}, which is not installed; expected the training "
            "environment. Run `make setup`, or leave the member out."
        ) from error
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    return keras


MEMBER = SequenceLstm()
