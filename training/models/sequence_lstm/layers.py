"""The network: an LSTM over the baskets, and beside it what else is known. Imports TensorFlow only when called."""

from typing import Any

from training.models.sequence_lstm.input_pipeline import PAD

__all__ = ["build_network", "to_onnx"]

UNITS = 64
HIDDEN = 64
DROPOUT = 0.2
OPSET = 17


def build_network(channels: int, columns: int, masked: bool) -> Any:
    """Return a Keras model from `sequence` [n, steps, channels] and `tabular` [n, columns] to log-odds [n, 1].

    With `masked`, steps of `PAD` do not count: for training on padded batches. Without, the same weights take
    unpadded lists: Keras exports a mask to ONNX as a loop over steps, fourteen times slower than the fused LSTM.
    """
    import keras

    sequence = keras.Input((None, channels), name="sequence")
    tabular = keras.Input((columns,), name="tabular")
    steps = keras.layers.Masking(PAD)(sequence) if masked else sequence
    state = keras.layers.LSTM(UNITS, name="baskets")(steps)
    joined = keras.layers.Concatenate()([state, tabular])
    hidden = keras.layers.Dense(HIDDEN, activation="relu", name="hidden")(keras.layers.Dropout(DROPOUT)(joined))
    margin = keras.layers.Dense(1, name="margin")(keras.layers.Dropout(DROPOUT)(hidden))
    return keras.Model([sequence, tabular], margin)


def to_onnx(network: Any) -> bytes:
    """Return an unmasked network as an ONNX model that answers `probability` [n, 1] for any n and number of steps."""
    import tensorflow as tf
    import tf2onnx

    channels, columns = (item.shape[-1] for item in network.inputs)
    signature = [
        tf.TensorSpec((None, None, channels), tf.float32, name="sequence"),
        tf.TensorSpec((None, columns), tf.float32, name="tabular"),
    ]

    def score(sequence: Any, tabular: Any) -> dict[str, Any]:
        return {"probability": tf.sigmoid(network([sequence, tabular], training=False))}

    model, _ = tf2onnx.convert.from_function(
        tf.function(score, input_signature=signature), input_signature=signature, opset=OPSET
    )
    return bytes(model.SerializeToString())
