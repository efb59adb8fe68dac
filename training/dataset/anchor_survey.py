"""The first walk over the anchors, before anything is joined: what there is, and a sample for the leak probe."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.dataset.anchor_chunks import AnchorChunks, Chunk
from training.dataset.anchor_columns import KEYS
from training.dataset.leakage_checks import require_gap
from training.dataset.time_splits import SPLITS, moment

__all__ = ["PROBED", "SplitCount", "Survey", "survey"]

PROBED = 300
"""At most so many anchors are probed, each of another customer (and another item)."""


@dataclass
class SplitCount:
    """What one split holds; `positives` is None without labels."""

    anchors: int = 0
    positives: int | None = None
    first_us: int = 2**63 - 1
    last_us: int = 0

    def add(self, anchors: pa.Table) -> None:
        """Count a chunk's anchors."""
        self.anchors += anchors.num_rows
        ends = pc.min_max(anchors["event_timestamp"].cast(pa.int64())).as_py()
        self.first_us, self.last_us = min(self.first_us, ends["min"]), max(self.last_us, ends["max"])
        if "label" in anchors.column_names:
            self.positives = (self.positives or 0) + pc.sum(anchors["label"]).as_py()

    def to_json(self) -> dict[str, Any]:
        """Dates of the first and the last anchor, their number, and the share of positive labels."""
        rate = None if self.positives is None else round(self.positives / self.anchors, 6)
        return {
            "from": f"{moment(self.first_us):%Y-%m-%d}",
            "to": f"{moment(self.last_us):%Y-%m-%d}",
            "anchors": self.anchors,
            "base_rate": rate,
        }


@dataclass
class Survey:
    """All that the walk found.

    `splits`: by name, in order of time. `parts`: rows of each part that will be written, by (split, name). `dropped`:
    anchors in no split. `probed`: keys and moments of a few anchors, drawn evenly.
    """

    splits: dict[str, SplitCount] = field(default_factory=dict)
    parts: dict[tuple[str, str], int] = field(default_factory=dict)
    dropped: int = 0
    probed: pa.Table | None = None

    @property
    def labelled(self) -> bool:
        """Whether the anchors have labels."""
        return any(count.positives is not None for count in self.splits.values())


def survey(source: AnchorChunks, seed: int, keys: tuple[str, ...]) -> Survey:
    """Walk over all anchors once, holding one chunk at a time.

    Args:
        source: the anchors.
        seed: of the draw of the anchors to probe.
        keys: join keys of the feature service; the probed anchors differ in each.

    Raises:
        SplitError: two splits are closer than the label's horizon, or hold too little.
    """
    found, rng = Survey(), np.random.default_rng(seed)
    for chunk in source.chunks():
        _count(found, chunk)
        found.probed = _draw(found.probed, chunk.anchors, rng, keys)
    found.splits = {name: found.splits[name] for name in (*SPLITS, *found.splits) if name in found.splits}
    if found.probed is not None:
        found.probed = found.probed.drop_columns([_LOT])
    source.check({name: (count.anchors, count.positives or 0) for name, count in found.splits.items()})
    if source.horizon_us is not None:
        ends = [(name, moment(split.first_us), moment(split.last_us)) for name, split in found.splits.items()]
        require_gap(ends, timedelta(microseconds=source.horizon_us))
    return found


def _count(found: Survey, chunk: Chunk) -> None:
    if chunk.split is None:
        found.dropped += chunk.anchors.num_rows
    elif chunk.anchors.num_rows:
        found.splits.setdefault(chunk.split, SplitCount()).add(chunk.anchors)
        found.parts[chunk.split, chunk.name] = chunk.anchors.num_rows


_LOT = "lot"


def _draw(kept: pa.Table | None, anchors: pa.Table, rng: np.random.Generator, keys: tuple[str, ...]) -> pa.Table:
    """Give each anchor a lot, and keep the lowest, one for each customer (and each item)."""
    names = [name for name in KEYS if name in anchors.column_names]
    anchors = anchors.select([*names, "event_timestamp"]).append_column(_LOT, pa.array(rng.random(anchors.num_rows)))
    for key in (key for key in names if key in keys):
        anchors = anchors.filter(pc.is_valid(anchors[key]))
    pool = (anchors if kept is None else pa.concat_tables([kept, anchors])).sort_by(_LOT).slice(0, 20 * PROBED)
    for key in (key for key in names if key in keys):
        _, first = np.unique(pool[key].to_numpy(zero_copy_only=False).astype(str), return_index=True)
        pool = pool.take(pa.array(np.sort(first)))
    return pool.slice(0, PROBED).combine_chunks()
