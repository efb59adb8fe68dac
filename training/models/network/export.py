"""A trained network as ONNX: unpadded lists of any length in, a probability out, and no loop over steps."""

from typing import Any

from training.models.onnx_graph import OPSET

__all__ = ["signature_of", "to_onnx"]


def signature_of(network: Any) -> list[Any]:
    """Return what a network takes: `sequence` (and `lengths`, if it is padded) unless it reads none, and `tabular`."""
    import tensorflow as tf

    return [tf.TensorSpec(item.shape, item.dtype, name=item.name) for item in network.inputs]


def to_onnx(network: Any) -> bytes:
    """Return an unpadded network as an ONNX model that answers `probability` [n, 1] for any n and number of steps."""
    import tensorflow as tf
    import tf2onnx

    signature = signature_of(network)

    def score(*inputs: Any) -> dict[str, Any]:
        return {"probability": tf.sigmoid(network(list(inputs), training=False))}

    model, _ = tf2onnx.convert.from_function(
        tf.function(score, input_signature=signature), input_signature=signature, opset=OPSET
    )
    return bytes(model.SerializeToString())
