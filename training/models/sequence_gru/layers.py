"""A GRU that exports to ONNX as one operation. Keras is imported only when a network is built."""

from functools import cache, partial
from typing import Any

from training.models.network.layers import Steps, regularizer

__all__ = ["encode"]


def encode(steps: Steps, chosen: dict[str, Any]) -> Any:
    """Return the last state of `layers` GRUs on top of each other, with dropout in between.

    Source: Cho et al. 2014; of sessions, Hidasi et al. 2016, "Session-based recommendations with recurrent neural
    networks".
    """
    import keras

    cell, loop = _classes()

    def layer(number: int, everything: bool) -> Any:
        penalty = regularizer(chosen)
        unit = cell(chosen["units"], kernel_regularizer=penalty, recurrent_regularizer=penalty)
        return loop(unit, return_sequences=everything, name=f"gru_{number}")

    values = steps.values
    for number in range(chosen["layers"]):
        if number:
            values = keras.layers.Dropout(chosen["dropout"])(values)
        is_last = number + 1 == chosen["layers"]
        values = steps.recurrent(partial(layer, number), values, is_last=is_last)
    return values


@cache
def _classes() -> tuple[Any, Any]:
    """Return a cell and a layer with the numbers of `keras.layers.GRU`, written as the ONNX converter knows them.

    It fuses a GRU only if the biases come into the loop from outside; Keras reads them inside. Left as a loop, a
    request takes ten times as long.
    """
    import keras
    import tensorflow as tf

    class Cell(keras.layers.GRUCell):
        biases: Any = None

        def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
            state, (of_input, of_state) = states[0], self.biases()
            update, reset, fresh = tf.split(tf.nn.bias_add(tf.matmul(inputs, self.kernel), of_input), 3, axis=1)
            old = tf.split(tf.nn.bias_add(tf.matmul(state, self.recurrent_kernel), of_state), 3, axis=1)
            kept = tf.sigmoid(update + old[0])
            fresh = tf.tanh(fresh + tf.sigmoid(reset + old[1]) * old[2])
            state = kept * state + (1 - kept) * fresh
            return state, [state]

    class Layer(keras.layers.RNN):
        def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
            biases = tf.unstack(tf.convert_to_tensor(self.cell.bias))
            object.__setattr__(self.cell, "biases", lambda: biases)  # past Keras, which would keep track of it
            return super().call(sequences, initial_state, mask, training)

    return Cell, Layer
