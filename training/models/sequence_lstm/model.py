"""An LSTM over the customer's last baskets or events, with what else is known as a second input."""

from functools import partial
from typing import Any

from training.models.network.layers import Steps, regularizer
from training.models.network.member import NetworkMember
from training.models.network.settings import sequence_parameters

__all__ = ["MEMBER", "encode"]


def encode(steps: Steps, chosen: dict[str, Any]) -> Any:
    """Return the last state of `layers` LSTMs on top of each other, with dropout in between.

    Source: Hochreiter & Schmidhuber 1997; two layers with dropout as in Sheil, Rana & Reilly 2018, "Predicting
    purchasing intent: automatic feature learning using recurrent neural networks".
    """
    import keras

    def layer(number: int, everything: bool) -> Any:
        return keras.layers.LSTM(
            chosen["units"],
            return_sequences=everything,
            kernel_regularizer=regularizer(chosen),
            recurrent_regularizer=regularizer(chosen),
            name=f"lstm_{number}",
        )

    values = steps.values
    for number in range(chosen["layers"]):
        if number:
            values = keras.layers.Dropout(chosen["dropout"])(values)
        is_last = number + 1 == chosen["layers"]
        values = steps.recurrent(partial(layer, number), values, is_last=is_last)
    return values


MEMBER = NetworkMember("sequence_lstm", encode, sequence_parameters(layers=2))
