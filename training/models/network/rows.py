"""The encoded rows that a network is trained on: in memory, or in shards on disk where memory would not hold them."""

import ctypes
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_repo.transforms.encoding import SequenceEncoding, TabularEncoding
from training.dataset.examples import Examples
from training.models.network.inputs import Inputs, inputs_of
from training.scratch import ScratchFolder

__all__ = ["InMemory", "OnDisk", "Rows", "encode_rows"]

SHARD_ROWS = 16_384
"""Rows of a shard, about: a shard is what training holds in memory, and among whose rows it draws batches."""


class Rows(Protocol):
    """n encoded rows in shards. Of `longer` rows the list had more steps than are read."""

    longer: int

    def __len__(self) -> int: ...

    @property
    def shards(self) -> int:
        """How many shards there are."""

    def shard(self, number: int) -> tuple[NDArray[np.int64], Inputs]:
        """Return the numbers of a shard's rows among all of them, int64, and their inputs."""


class InMemory:
    """All rows as one shard."""

    shards = 1

    def __init__(self, inputs: Inputs, longer: int = 0) -> None:
        self._inputs, self.longer = inputs, longer

    def __len__(self) -> int:
        return len(self._inputs)

    def shard(self, number: int) -> tuple[NDArray[np.int64], Inputs]:
        """Return everything."""
        return np.arange(len(self._inputs)), self._inputs


class OnDisk:
    """Rows dealt out at random to shards below `scratch`, each read back whole; the files go when the object does.

    Rows arrive in the order of their dates. A shard of neighbours would show the network one date at a time; dealt
    out, every shard is a sample of all.
    """

    def __init__(self, rows: int, seed: int = 0, scratch: Path | None = None) -> None:
        self._folder = ScratchFolder(scratch)
        self.shards = max(1, -(-rows // SHARD_ROWS))
        self._random = np.random.default_rng(seed)
        self._rows = self.longer = 0
        self._widths = (0, 0)

    def __len__(self) -> int:
        return self._rows

    def add(self, inputs: Inputs, longer: int = 0) -> None:
        """Deal out more rows, the lists of `longer` of which were cut."""
        self.longer += longer
        self._widths = (inputs.values.shape[1], inputs.tabular.shape[1])
        dealt = self._random.integers(0, self.shards, len(inputs))
        for number in range(self.shards):
            mine = np.flatnonzero(dealt == number)
            lengths = inputs.lengths[mine]
            steps = np.repeat(inputs.offsets[mine] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
            self._append(number, "rows", mine + self._rows)
            self._append(number, "lengths", lengths)
            self._append(number, "values", inputs.values[steps + np.arange(len(steps))])
            self._append(number, "tabular", inputs.tabular[mine])
        self._rows += len(inputs)

    def shard(self, number: int) -> tuple[NDArray[np.int64], Inputs]:
        """Read one shard."""
        channels, columns = self._widths
        rows, lengths = (np.fromfile(self._path(number, what), np.int64) for what in ("rows", "lengths"))
        values = np.fromfile(self._path(number, "values"), np.float32).reshape(int(lengths.sum()), channels)
        tabular = np.fromfile(self._path(number, "tabular"), np.float32).reshape(len(rows), columns)
        return rows, Inputs(values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), tabular)

    def _append(self, number: int, what: str, values: NDArray[np.generic]) -> None:
        with self._path(number, what).open("ab") as file:
            np.ascontiguousarray(values).tofile(file)

    def _path(self, number: int, what: str) -> Path:
        return self._folder.path / f"{number:05d}.{what}"


def encode_rows(
    sequence: SequenceEncoding | None,
    tabular: TabularEncoding,
    examples: Examples,
    seed: int = 0,
    scratch: Path | None = None,
) -> InMemory | OnDisk:
    """Encode `examples`: in memory if they are there, below `scratch` if they are read from disk part by part."""
    if not examples.stored:
        return InMemory(inputs_of(sequence, tabular, examples.features), _longer(sequence, examples))
    rows = OnDisk(len(examples), seed, scratch)
    for part in examples.parts():
        rows.add(inputs_of(sequence, tabular, part.features), _longer(sequence, part))
    _give_back()
    return rows


def _longer(sequence: SequenceEncoding | None, examples: Examples) -> int:
    return 0 if sequence is None else sequence.longer(examples.features)


def _give_back() -> None:
    """Return to the system what reading took and no longer uses: training would stand on top of it."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; elsewhere the allocator sees to it
    if trim is not None:
        trim(0)
