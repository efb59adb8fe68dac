"""Causal self-attention over steps that know their time. Keras is imported only when a network is built."""

from typing import Any

from training.models.network.layers import Steps, regularizer

__all__ = ["encode"]

TIME_WIDTH = 8


def encode(steps: Steps, chosen: dict[str, Any]) -> Any:
    """Return the newest step after `layers` blocks of causal self-attention and two dense layers.

    A step has no number: it knows how long before t it was, and how long after the one before it. As a step sees
    only itself and earlier ones, padding at the end reaches nothing that counts.

    Source: Vaswani et al. 2017, "Attention is all you need"; normalised before each part as in Xiong et al. 2020;
    for sequences of a customer, Kang & McAuley 2018, "Self-attentive sequential recommendation".
    """
    import keras

    width = chosen["units"]
    values = steps.values
    if steps.times is not None:
        values = keras.layers.Concatenate()([values, *_time(steps.times)])
    values = keras.layers.Dense(width, kernel_regularizer=regularizer(chosen), name="steps")(values)
    for number in range(chosen["layers"]):
        values = _block(values, number, chosen)
    return keras.layers.LayerNormalization(name="last_norm")(steps.last(values))


def _time(times: Any) -> list[Any]:
    """Return sines of times at frequencies that are learnt, beside the times as they are.

    Source: Kazemi et al. 2019, "Time2Vec: learning a vector representation of time".
    """
    import keras

    start = keras.initializers.RandomNormal(stddev=2.0)
    angles = keras.layers.Dense(TIME_WIDTH, kernel_initializer=start, name="frequencies")(times)
    return [times, keras.ops.sin(angles)]


def _block(values: Any, number: int, chosen: dict[str, Any]) -> Any:
    import keras

    width, penalty = chosen["units"], regularizer(chosen)
    heads = min(chosen["heads"], width)
    seen = keras.layers.LayerNormalization(name=f"norm_{number}")(values)
    seen = keras.layers.MultiHeadAttention(
        heads, max(width // heads, 1), dropout=chosen["dropout"], kernel_regularizer=penalty, name=f"attention_{number}"
    )(seen, seen, use_causal_mask=True)
    values = values + keras.layers.Dropout(chosen["dropout"])(seen)
    seen = keras.layers.LayerNormalization(name=f"norm_wide_{number}")(values)
    seen = keras.layers.Dense(2 * width, activation="relu", kernel_regularizer=penalty, name=f"wide_{number}")(seen)
    seen = keras.layers.Dense(width, kernel_regularizer=penalty, name=f"narrow_{number}")(seen)
    return values + keras.layers.Dropout(chosen["dropout"])(seen)
