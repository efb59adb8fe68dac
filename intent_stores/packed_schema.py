"""What a packed row holds: the kinds of features, their places in the bytes, and the hash that tells schemas apart."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intent_stores.errors import ConfigurationError

FIXED: dict[str, np.dtype[Any]] = {
    "Float64": np.dtype("<f8"),
    "Int64": np.dtype("<i8"),
    "UnixTimestamp": np.dtype("<i8"),
    "Float32": np.dtype("<f4"),
    "Int32": np.dtype("<i4"),
    "Bool": np.dtype("u1"),
}
"""Kinds of a fixed width, in the order of their blocks. A UnixTimestamp is in microseconds since 1970, UTC."""

TEXTS = ("String", "Bytes", "Opaque")
"""Kinds of any length. `Opaque` is bytes that only their writer can read (Feast's maps, decimals, …)."""

VERSION_BYTES = 24
"""Event time, creation time and sequence number: big-endian, biased, so that their bytes sort as the numbers do."""

_FORMAT = b"packed-row-1"
_LIST = re.compile(r"Array\((\w+)\)")


@lru_cache(256)
def element_kind(kind: str) -> str | None:
    """Return the kind of a list's elements (`Array(Int64)` → `Int64`), or None if `kind` is no list."""
    found = _LIST.fullmatch(kind)
    return found[1] if found else None


@dataclass(frozen=True)
class PackedSchema:
    """The features of one view: name → kind, as Feast spells its types (`Float64`, `Array(String)`).

    The order of the names has no meaning: schemas with equal fields have equal hashes and equal bytes.

    Raises:
        ConfigurationError: a kind is not one that can be packed.
    """

    fields: Mapping[str, str]

    def __post_init__(self) -> None:
        for name, kind in self.fields.items():
            inner = element_kind(kind) or kind
            if inner not in FIXED and (inner not in TEXTS or kind == "Array(Opaque)"):
                raise ConfigurationError(
                    f"Feature {name!r} is of kind {kind!r}; expected {', '.join([*FIXED, *TEXTS])} or Array(…) of one."
                )

    @cached_property
    def blocks(self) -> dict[str, list[str]]:
        """Names of the fixed-width features by kind, sorted; kinds without a feature are left out."""
        found = {kind: sorted(n for n, k in self.fields.items() if k == kind) for kind in FIXED}
        return {kind: names for kind, names in found.items() if names}

    @cached_property
    def variable(self) -> list[str]:
        """Names of the features of any length, sorted."""
        return sorted(name for name, kind in self.fields.items() if kind not in FIXED)

    @cached_property
    def order(self) -> list[str]:
        """All names, in the order of the null bitmap."""
        return [name for names in self.blocks.values() for name in names] + self.variable

    @cached_property
    def digest(self) -> bytes:
        """Eight bytes that differ between schemas (added, removed, renamed or retyped features) and formats."""
        listed = "\0".join(f"{name}\0{self.fields[name]}" for name in sorted(self.fields))
        return hashlib.blake2b(listed.encode(), digest_size=8, key=_FORMAT).digest()

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The fixed part of a row: version, digest, null bitmap (1: null), one block a kind, ends of what varies."""
        layout: list[Any] = [("version", ">u8", (3,)), ("digest", "u1", (8,))]
        if self.fields:
            layout.append(("nulls", "u1", ((len(self.fields) + 7) // 8,)))
        layout += [(kind, FIXED[kind], (len(names),)) for kind, names in self.blocks.items()]
        if self.variable:
            layout.append(("ends", "<u4", (len(self.variable),)))
        return np.dtype(layout)

    @cached_property
    def size(self) -> int:
        """Bytes of the fixed part of a row."""
        return self.dtype.itemsize

    @cached_property
    def places(self) -> list[tuple[str, np.dtype[Any], list[str], int]]:
        """Of each block of fixed-width features: kind, dtype, names, and where it begins in a row's bytes."""
        offsets: Any = self.dtype.fields or {}
        return [(kind, FIXED[kind], names, offsets[kind][1]) for kind, names in self.blocks.items()]

    @cached_property
    def nulls(self) -> slice:
        """Where the null bitmap is in a row's bytes."""
        start = VERSION_BYTES + len(self.digest)
        return slice(start, start + (len(self.fields) + 7) // 8)

    @cached_property
    def ends(self) -> Struct:
        """The ends of what is of any length; they are the last of a row's fixed part."""
        return Struct(f"<{len(self.variable)}I")

    @cached_property
    def all_valid(self) -> dict[str, NDArray[np.bool_]]:
        """The masks of one row without nulls, read-only; to copy the table is a tenth of making it anew."""
        mask = np.ones(1, bool)
        mask.flags.writeable = False
        return dict.fromkeys(self.order, mask)

    @cached_property
    def empty(self) -> NDArray[Any]:
        """One row without a value: every feature null, floats NaN, times NaT, whole numbers 0."""
        row = np.zeros(1, self.dtype)
        if self.fields:
            row["nulls"] = 255
        for kind in self.blocks:
            row[kind] = null_of(kind)
        return row


def null_of(kind: str) -> Any:
    """Return what stands in a fixed-width column where a value is null; the null bitmap is what counts."""
    if kind in ("Float64", "Float32"):
        return np.nan
    return np.iinfo(np.int64).min if kind == "UnixTimestamp" else 0
