"""What a network without padding answers, batch by batch, in one trace for all shapes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.models.network.export import signature_of
from training.models.network.inputs import equal_length_batches
from training.models.network.rows import Rows

__all__ = ["Scorer"]

ROWS_AT_ONCE = 8192
STEPS_AT_ONCE = 65_536  # what a network holds of a batch grows with its steps: this is some tens of megabytes


class Scorer:
    """A network ready to be asked; weights that change later count."""

    def __init__(self, network: Any) -> None:
        import tensorflow as tf

        self._sequential = len(network.inputs) > 1
        # Calling the model itself would run layer by layer.
        self._score = tf.function(
            lambda *inputs: network(list(inputs), training=False), input_signature=signature_of(network)
        )

    def margins(self, rows: Rows) -> NDArray[np.float64]:
        """Return the log-odds of each row, shape (n,), from unpadded lists."""
        result = np.empty(len(rows))
        for number in range(rows.shards):
            places, inputs = rows.shard(number)
            for group in equal_length_batches(inputs.lengths, ROWS_AT_ONCE):
                at_once = max(STEPS_AT_ONCE // int(inputs.lengths[group[0]]), 1)
                for batch in np.split(group, range(at_once, len(group), at_once)):
                    lists = [inputs.padded(batch)] if self._sequential else []
                    result[places[batch]] = self._score(*lists, inputs.tabular[batch]).numpy()[:, 0]
        return result
