"""Texts and lists as bytes, and back: the part of a packed row whose length differs from row to row."""

from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intent_stores.errors import FeatureValueError
from intent_stores.packed_schema import FIXED, element_kind
from intent_stores.ragged_column import ByteRuns, Column, Ragged

Mask = NDArray[np.bool_]


def variable_pieces(name: str, kind: str, column: Any, mask: Mask) -> list[bytes]:
    """Return the bytes of each row of a text or list column; nulls are empty.

    Raises:
        FeatureValueError: the values are not of the kind.
    """
    if column is None:
        return [b""] * len(mask)
    inner = element_kind(kind)
    try:
        if inner is None:
            pieces = _text_pieces(kind, column)
        elif inner in FIXED:
            pieces = _number_pieces(inner, column)
        else:
            pieces = _text_list_pieces(inner, column)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FeatureValueError(f"Feature {name!r} is {kind}, but its values cannot be read so: {error}.") from error
    return pieces if mask.all() else [p if there else b"" for p, there in zip(pieces, mask.tolist(), strict=True)]


def read_variable(kind: str, pieces: list[bytes], mask: Mask) -> Column:
    """Return a text or list column from the bytes of each row: object of shape (n,) with None, or `Ragged`."""
    inner = element_kind(kind)
    if inner is None:
        texts = [_text(kind, piece) if there else None for piece, there in zip(pieces, mask.tolist(), strict=True)]
        return _objects(texts)
    if inner in FIXED:
        return _number_lists(inner, pieces)
    lists = [_text_list(inner, piece) for piece in pieces]
    return Ragged(_objects([text for row in lists for text in row]), _offsets([len(row) for row in lists]))


def read_alone(kind: str, held: bytearray, start: int, stop: int, there: bool = True) -> Column:
    """Return what `read_variable` does for one row, from its place among the row's bytes; not `there`: null."""
    inner = element_kind(kind)
    if inner is None:
        return _objects([_text(kind, bytes(held[start:stop])) if there else None])
    if inner not in FIXED:
        texts = _text_list(inner, bytes(held[start:stop]))
        return Ragged(_objects(texts), np.array([0, len(texts)]))
    dtype = FIXED[inner]
    count = (stop - start) // dtype.itemsize
    values: NDArray[Any] = np.frombuffer(held[start:stop], dtype, count)
    return Ragged(_of_kind(inner, values), np.array([0, count]))


def _text_pieces(kind: str, column: Any) -> list[bytes]:
    if isinstance(column, ByteRuns):
        return column.cells()
    return [b"" if cell is None else _bytes(kind, cell) for cell in column]


def _number_pieces(inner: str, column: Ragged) -> list[bytes]:
    given = np.asarray(column.values)
    if given.dtype.kind == "M":
        given = given.astype("datetime64[us]").view(np.int64)
    target = np.dtype(bool) if inner == "Bool" else FIXED[inner]
    packed = given.astype(target)
    if target.kind != "f" and not (packed == given).all():
        raise ValueError(f"elements ({given.dtype}) do not fit")
    return _sliced(packed.tobytes(), np.asarray(column.offsets) * packed.itemsize)


def _text_list_pieces(inner: str, column: Ragged) -> list[bytes]:
    values = column.values
    encoded = _text_pieces(inner, values)
    bounds = np.asarray(column.offsets).tolist()
    return [_packed_texts(encoded[start:stop]) for start, stop in pairwise(bounds)]


def _packed_texts(texts: list[bytes]) -> bytes:
    ends = np.cumsum([len(texts), *map(len, texts)], dtype=np.int64)
    ends[1:] -= len(texts)
    return ends.astype("<u4").tobytes() + b"".join(texts)


def _text_list(inner: str, piece: bytes) -> list[Any]:
    count = int.from_bytes(piece[:4], "little")
    start = 4 + 4 * count
    if len(piece) < start:
        return []
    data = piece[start:]
    ends = np.frombuffer(piece, "<u4", count, 4).tolist() if count else []
    if inner == "String" and data.isascii():  # a byte is a character: read once, and cut
        text = data.decode()
        return [text[a:b] for a, b in pairwise([0, *ends])]
    return [_text(inner, data[a:b]) for a, b in pairwise([0, *ends])]


def _number_lists(inner: str, pieces: list[bytes]) -> Ragged:
    dtype = FIXED[inner]
    size = dtype.itemsize
    counts = [len(piece) // size for piece in pieces]
    if size > 1 and any([len(piece) % size for piece in pieces]):
        pieces = [piece[: count * size] for piece, count in zip(pieces, counts, strict=True)]
    values: NDArray[Any] = np.frombuffer(bytearray().join(pieces), dtype)
    return Ragged(_of_kind(inner, values), _offsets(counts))


def _of_kind(inner: str, values: NDArray[Any]) -> NDArray[Any]:
    if inner == "Bool":
        return values != 0
    return values.view("datetime64[us]") if inner == "UnixTimestamp" else values


def _bytes(kind: str, cell: Any) -> bytes:
    if kind == "String":
        if not isinstance(cell, str):
            raise TypeError(f"expected text, received {type(cell).__name__}")
        return cell.encode()
    return bytes(memoryview(cell))


def _text(kind: str, piece: bytes) -> Any:
    return piece.decode("utf-8", "replace") if kind == "String" else piece


def _sliced(data: bytes, offsets: NDArray[np.int64]) -> list[bytes]:
    bounds = offsets.tolist()
    return [data[start:stop] for start, stop in pairwise(bounds)]


def _offsets(counts: list[int]) -> NDArray[np.int64]:
    return np.array([*accumulate(counts, initial=0)], np.int64)


def _objects(cells: list[Any]) -> NDArray[Any]:
    column = np.empty(len(cells), object)
    column[:] = cells
    return column
