"""Train a network: one level of demand per anchor date, penalties, a schedule, averaged weights, early stopping."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from training.date_levels import date_levels, levelled_log_loss, pooled_level
from training.models.class_weights import EQUAL, class_weights, correct_prior_shift, prior_shift
from training.models.contract import NO_WORSE, History
from training.models.network.export import signature_of
from training.models.network.inputs import shuffled_batches
from training.models.network.rows import Rows
from training.models.network.scorer import Scorer
from training.progress import Task

__all__ = ["Judge", "Labels", "Training", "train_network"]

LAST_RATE = 0.02  # share of the step size that is left after the last epoch
AVERAGED_OVER = 0.99
# An epoch of a few thousand rows is not over after three steps: batches get smaller first, down to a few rows.
LEAST_STEPS, LEAST_BATCH = 50, 32
_SEED_STEP = 1_000_003
Build = Callable[[bool], Any]
"""Builds the network, padded or not."""


@dataclass(frozen=True)
class Labels:
    """Of n rows the label (int8, shape (n,)) and the number of its date (int64, shape (n,))."""

    label: NDArray[np.int8]
    codes: NDArray[np.int64]


@dataclass(frozen=True)
class Judge:
    """Later rows that decide when to stop: their inputs, label and date (int64 microseconds, shape (n,))."""

    rows: Rows
    label: NDArray[np.int8]
    anchor_us: NDArray[np.int64]


def train_network(
    build: Build, rows: Rows, labels: Labels, judge: Judge | None, epochs: int, chosen: dict[str, Any], task: Task
) -> tuple[Any, Scorer, History]:
    """Return the network without padding that was found, at the pooled level of demand, its scorer, and how it went.

    It is trained for `epochs`, or until `judge` sees no better loss for `patience` of them; then the averaged weights
    of the best epoch are kept. With several `networks`, each begins with weights and draws of its own; epoch by epoch
    they are judged together, by the mean of their log-odds, and what is returned is one network that answers it.

    Source: Lakshminarayanan, Pritzel & Blundell 2017, "Simple and scalable predictive uncertainty estimation using deep
    ensembles" (which averages probabilities; log-odds keep each date's level exact).
    """
    # Far apart, for runs that are repeated take seeds next to one another.
    seeds = [chosen["seed"] + number * _SEED_STEP for number in range(chosen["networks"])]
    trainings = [Training(build, rows, labels, {**chosen, "seed": seed}) for seed in seeds]
    network = _joined([training.averaged for training in trainings])
    scorer = Scorer(network)
    history, best, kept = History("epoch"), np.inf, None
    for epoch in range(epochs):
        history.train.append(float(np.mean([training.run_epoch() for training in trainings])))
        history.learning_rate.append(trainings[0].learning_rate())
        task.advance()
        if judge is None:
            continue
        probability = expit(scorer.margins(judge.rows))
        history.validation.append(levelled_log_loss(probability, judge.label, judge.anchor_us))
        best = min(best, history.validation[-1])
        if history.validation[-1] <= best + NO_WORSE:
            history, kept = replace(history, best=epoch + 1), network.get_weights()
        elif epoch + 1 - history.best >= chosen["patience"]:
            break
    if kept is None:
        history = replace(history, best=epochs)
    else:
        network.set_weights(kept)
    found = scorer.margins(rows)
    for training in trainings:
        training.set_level(found)
    return network, scorer, history


def _joined(networks: Sequence[Any]) -> Any:
    """Return one network that answers the mean of the log-odds of `networks`, with their very weights."""
    import keras

    if len(networks) == 1:
        return networks[0]
    inputs = [keras.Input(item.shape[1:], dtype=item.dtype, name=item.name) for item in networks[0].inputs]
    return keras.Model(inputs, keras.layers.Average()([network(inputs) for network in networks]))


class Training:
    """One network in training, and beside it the moving average of its weights, which is what gets used.

    Averaged weights are steadier than those of any step, from seed to seed and from week to week.
    """

    def __init__(self, build: Build, rows: Rows, labels: Labels, chosen: dict[str, Any]) -> None:
        import tensorflow as tf

        self._rows, self._labels = rows, labels
        self._batch = min(int(chosen["batch"]), max(len(rows) // LEAST_STEPS, LEAST_BATCH))
        self._random = np.random.default_rng(int(chosen["seed"]))
        self._network = build(True)
        self.averaged = build(False)
        self.averaged.set_weights(self._network.get_weights())
        self._weights = class_weights(labels.label) if chosen["class_weights"] else EQUAL
        # What the network is to find beside the levels; with class weights these lie higher by the same shift.
        start = date_levels(np.zeros(len(labels.label)), labels.label, labels.codes)
        self._levels = tf.Variable((start + prior_shift(self._weights)).astype(np.float32))
        self._optimizer = _optimizer(chosen, chosen["epochs"] * -(-len(rows) // self._batch))
        self._trainable = [*self._network.trainable_variables, self._levels]
        self._optimizer.build(self._trainable)
        self._steps = tf.Variable(0.0)
        row = tf.TensorSpec((None,), tf.float32)
        signature = [signature_of(self._network), row, row, tf.TensorSpec((None,), tf.int64)]
        self._sequential = len(self._network.inputs) > 1
        self._step = tf.function(self._take_step, input_signature=signature)

    def run_epoch(self) -> float:
        """Show the network every row once, and return the mean log loss of the steps."""
        total = 0.0
        for number in self._random.permutation(self._rows.shards):
            places, inputs = self._rows.shard(int(number))
            for batch in shuffled_batches(inputs.lengths, self._batch, self._random):
                lists = [inputs.padded(batch), inputs.lengths[batch].astype(np.int32)] if self._sequential else []
                label = self._labels.label[places[batch]]
                loss = self._step(
                    [*lists, inputs.tabular[batch]],
                    label.astype(np.float32),
                    np.where(label == 1, *self._weights[::-1]).astype(np.float32),
                    self._labels.codes[places[batch]],
                )
                total += float(loss) * len(batch)
        return total / len(self._rows)

    def learning_rate(self) -> float:
        """Return the rate of the last step."""
        return float(self._optimizer.learning_rate)

    def set_level(self, margins: NDArray[np.float64]) -> None:
        """Take class weights out of the last bias, then move it to the pooled level of the dates trained on.

        `margins`, of shape (n,), is what is answered of the rows before: by this network, or by all together.
        """
        kernel, bias = self.averaged.get_layer("margin").get_weights()
        found = correct_prior_shift(margins, self._weights)
        level = pooled_level(found, date_levels(found, self._labels.label, self._labels.codes))
        bias = np.float32(correct_prior_shift(bias, self._weights) + level)
        self.averaged.get_layer("margin").set_weights([kernel, bias])

    def _take_step(self, inputs: Any, label: Any, weight: Any, codes: Any) -> Any:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            margin = self._network(inputs, training=True)[:, 0] + tf.gather(self._levels, codes)
            loss = tf.reduce_mean(weight * tf.nn.sigmoid_cross_entropy_with_logits(label, margin))
            penalised = tf.add_n([loss, *self._network.losses])
        self._optimizer.apply(tape.gradient(penalised, self._trainable), self._trainable)
        self._steps.assign_add(1.0)
        # The first steps are far from where the weights go: they leave the average quickly.
        keep = tf.minimum(AVERAGED_OVER, self._steps / (self._steps + 10.0))
        for mean, now in zip(self.averaged.trainable_variables, self._network.trainable_variables, strict=True):
            mean.assign(keep * mean + (1.0 - keep) * now)
        return loss


def _optimizer(chosen: dict[str, Any], steps: int) -> Any:
    """Return AdamW under the chosen schedule.

    Source: Loshchilov & Hutter 2019, "Decoupled weight decay regularization"; 2017, "SGDR" (the cosine).
    """
    import keras

    rate, rising = chosen["learning_rate"], round(chosen["warm_up"] * steps)
    last = LAST_RATE if chosen["schedule"] == "cosine" else 1.0
    warm = {"warmup_target": rate, "warmup_steps": rising} if rising else {}
    schedule = keras.optimizers.schedules.CosineDecay(
        rate * LAST_RATE if rising else rate, max(steps - rising, 1), alpha=last, **warm
    )
    return keras.optimizers.AdamW(schedule, weight_decay=chosen["weight_decay"])
