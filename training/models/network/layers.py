"""The network around an architecture: steps with embedded codes before it, table, candidate item and head after it.

Keras is imported only when a network is built.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from training.models.network.layout import Layout

__all__ = ["Architecture", "Steps", "build_network", "regularizer"]

TYPE_WIDTH = 4
CATEGORY_SHARE = 2  # of categories there are fewer than of items: half the width says as much


@dataclass(frozen=True)
class Steps:
    """What an architecture gets: `values` [n, steps, width] and `times` [n, steps, times] (None without any).

    `last` takes [n, steps, width] and gives each row's newest step, [n, width]. In training the lists of a batch are
    padded at the end to one length. As nothing an architecture does at a step may look at later ones, the padding
    reaches no step that counts, and taking the newest real one is all the mask there needs to be: the same weights
    serve unpadded lists, where `last` is the last step. A recurrent layer that is the last one and not `padded` may
    return its last state alone, and spare the memory of all others.
    """

    values: Any
    times: Any
    last: Callable[[Any], Any]
    padded: bool

    def recurrent(self, layer: Callable[[bool], Any], values: Any, *, is_last: bool) -> Any:
        """Apply `layer(return_sequences)`; give every step, or of the last layer the newest one, [n, width]."""
        import keras

        if not is_last:
            return layer(True)(values)
        if self.padded:
            return self.last(layer(True)(values))
        # Keras orders weights by how deep a layer lies: one that does nothing keeps both networks the same.
        return keras.layers.Identity()(layer(False)(values))


Architecture = Callable[[Steps, dict[str, Any]], Any]
"""Takes the steps and the chosen parameters, and returns the state [n, width] after the newest step."""


def build_network(layout: Layout, architecture: Architecture | None, chosen: dict[str, Any], *, padded: bool) -> Any:
    """Return a Keras model from `sequence` [n, steps, width] and `tabular` [n, width] to log-odds [n, 1].

    A `padded` one takes `lengths` (int32 [n]) between the two, for training; the other one takes lists of one length
    as they are. Both have the same weights in the same order. Without a sequence, the table is all there is.
    """
    import keras

    tabular = keras.Input((layout.table_width,), name="tabular")
    lengths = keras.Input((), dtype="int32", name="lengths")
    table = tabular[:, : layout.columns]
    codes = {name: tabular[:, layout.columns + place] for place, name in enumerate(layout.candidate)}
    embed = _embeddings(layout, chosen)
    parts, inputs, state = [table], [tabular], None
    if architecture is not None and layout.sequence_width:
        sequence = keras.Input((None, layout.sequence_width), name="sequence")
        state = architecture(_steps(layout, sequence, lengths if padded else None, embed), chosen)
        parts, inputs = [state, table], [sequence, *([lengths] if padded else []), tabular]
    if codes:
        parts += _candidate(layout, table, codes, state, embed, chosen)
    joined = keras.layers.Concatenate()(parts) if len(parts) > 1 else table
    margin = _head(joined, chosen)
    return keras.Model(inputs, margin)


def regularizer(chosen: dict[str, Any]) -> Any:
    """Return the penalty on a matrix of weights, or None where both are 0.

    An architecture gives it to each of its matrices, recurrent ones included; biases are left alone.
    """
    import keras

    return keras.regularizers.L1L2(chosen["l1"], chosen["l2"]) if chosen["l1"] or chosen["l2"] else None


def _head(joined: Any, chosen: dict[str, Any]) -> Any:
    import keras

    for number in range(chosen.get("hidden_layers", 1)):
        dropped = keras.layers.Dropout(chosen["dropout"])(joined)
        joined = keras.layers.Dense(
            chosen["hidden"], activation="relu", kernel_regularizer=regularizer(chosen), name=f"hidden_{number}"
        )(dropped)
    dropped = keras.layers.Dropout(chosen["dropout"])(joined)
    return keras.layers.Dense(1, kernel_regularizer=regularizer(chosen), name="margin")(dropped)


def _embeddings(layout: Layout, chosen: dict[str, Any]) -> dict[str, Any]:
    """Return field → layer that takes codes as floats; items of the lists and the candidate share one table."""
    import keras

    width = chosen.get("embedding", 0)
    widths = {"event_type": TYPE_WIDTH, "event_item": width, "event_category": max(width // CATEGORY_SHARE, 1)}
    tables = {
        name: keras.layers.Embedding(
            layout.buckets(name), widths[name], embeddings_regularizer=regularizer(chosen), name=f"table_of_{name}"
        )
        for name in dict.fromkeys((*layout.codes, *layout.candidate))
    }
    return {name: _looked_up(table) for name, table in tables.items()}


def _looked_up(table: Any) -> Callable[[Any], Any]:
    import keras

    return lambda codes: table(keras.ops.cast(codes, "int32"))


def _steps(layout: Layout, sequence: Any, lengths: Any, embed: dict[str, Any]) -> Steps:
    import keras

    channels = sequence[:, :, : layout.channels]
    embedded = [embed[name](sequence[:, :, layout.channels + place]) for place, name in enumerate(layout.codes)]
    values = keras.layers.Concatenate()([channels, *embedded]) if embedded else channels
    times = [sequence[:, :, place : place + 1] for place in layout.times]
    joined = keras.layers.Concatenate()(times) if len(times) > 1 else (times or [None])[0]
    return Steps(values, joined, _newest(lengths), lengths is not None)


def _newest(lengths: Any) -> Callable[[Any], Any]:
    import keras
    import tensorflow as tf

    if lengths is None:
        return lambda steps: steps[:, -1]

    def gather(pair: Any) -> Any:
        return tf.gather(pair[0], pair[1] - 1, axis=1, batch_dims=1)

    return lambda steps: keras.layers.Lambda(gather, output_shape=(steps.shape[-1],))([steps, lengths])


def _candidate(
    layout: Layout, table: Any, codes: dict[str, Any], state: Any, embed: dict[str, Any], chosen: dict[str, Any]
) -> list[Any]:
    """The tower of the item that is asked about: who it is and its numbers, and how it meets the customer's state."""
    import keras

    known = [embed[name](code) for name, code in codes.items()]
    known += [table[:, place : place + 1] for place in layout.of_item]
    tower = keras.layers.Dense(
        chosen["hidden"] // 2, activation="relu", kernel_regularizer=regularizer(chosen), name="candidate"
    )(keras.layers.Concatenate()(known))
    if state is None:
        return [tower]
    asked = keras.layers.Dense(chosen["hidden"] // 2, kernel_regularizer=regularizer(chosen), name="taste")(state)
    return [tower, keras.layers.Dot(axes=1)([asked, tower])]
