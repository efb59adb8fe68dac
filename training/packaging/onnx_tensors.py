"""Does an ONNX model keep everything inside itself? A tensor may name another file to be read, and such one is refused.

Only the protocol buffers' framing is walked (no ONNX library is installed where models are served). Field numbers:
onnx/onnx.proto of ONNX 1.23, messages ModelProto to SparseTensorProto.
"""

from collections.abc import Iterator

from feature_repo.errors import BundleError

__all__ = ["refuse_outside_data"]

# Message → field → the message in it; a tensor's are looked at, all others are skipped.
_FIELDS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_MOST_MESSAGES = 1_000_000


def refuse_outside_data(model: bytes, name: str) -> None:
    """Refuse a model of which a tensor's data is said to lie in another file.

    Args:
        model: the ONNX file.
        name: what it is called in the message.

    Raises:
        BundleError: it is such a model, or no protocol buffer.
    """
    waiting = [("model", memoryview(model))]
    seen = 0
    try:
        while waiting:
            kind, data = waiting.pop()
            seen += 1
            if seen > _MOST_MESSAGES:
                raise ValueError("too many messages")
            for field, value in _parts(data):
                if kind == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0)):
                    raise BundleError(
                        f"Bundle file {name!r} keeps a tensor in another file; expected a model with all its weights "
                        "inside. Export it without external data, and publish it again."
                    )
                inner = _FIELDS[kind].get(field)
                if inner is not None and isinstance(value, memoryview):
                    waiting.append((inner, value))
    except (ValueError, IndexError) as error:
        raise BundleError(f"Bundle file {name!r} is no ONNX model ({error}). Publish the bundle again.") from error


def _parts(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (field, value) of a message: a number, or the bytes of what has a length."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        field, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, place = _varint(data, place)
            yield field, value
            continue
        if wire not in (_EIGHT, _BYTES, _FOUR):
            raise ValueError(f"a field of the unknown wire type {wire}")
        size = 8 if wire == _EIGHT else 4
        if wire == _BYTES:
            size, place = _varint(data, place)
        if place + size > len(data):
            raise ValueError("it is cut off")
        yield field, data[place : place + size]
        place += size


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
