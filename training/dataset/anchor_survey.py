"""The first walk over the anchors, before anything is joined: what there is, and a sample for the leak probe."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.dataset.anchor_chunks import AnchorChunks, Chunk
from training.dataset.anchor_columns import KEYS
from training.dataset.leakage_checks import require_gap
from training.dataset.time_splits import SPLITS, moment

__all__ = ["PROBED", "SplitCount", "Survey", "survey"]

_DAY_US = 86_400_000_000
PROBED = 300
"""At most so many anchors are probed, each of another customer (and another item)."""


@dataclass
class SplitCount:
    """What one split holds; `positives` is None without labels."""

    anchors: int = 0
    positives: int | None = None
    first_us: int = 2**63 - 1
    last_us: int = 0
    label_until_us: int | None = None

    def add(self, chunk: Chunk) -> None:
        """Count a chunk's anchors."""
        anchors = chunk.anchors
        self.anchors += anchors.num_rows
        ends = pc.min_max(anchors["event_timestamp"].cast(pa.int64())).as_py()
        self.first_us, self.last_us = min(self.first_us, ends["min"]), max(self.last_us, ends["max"])
        if chunk.label_until_us is not None:
            self.label_until_us = max(self.label_until_us or 0, int(chunk.label_until_us.max()))
        if "label" in anchors.column_names:
            self.positives = (self.positives or 0) + pc.sum(anchors["label"]).as_py()

    def to_json(self) -> dict[str, Any]:
        """Dates of the first and the last anchor, their number, and the share of positive labels."""
        rate = None if self.positives is None else round(self.positives / self.anchors, 6)
        return {
            "from": _day(self.first_us),
            "to": _day(self.last_us),
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
    source.check({name: (count.anchors, count.positives) for name, count in found.splits.items()})
    ends = [
        (name, moment(split.first_us), moment(until))
        for name, split in found.splits.items()
        if (until := _label_until(split, source.horizon_us)) is not None
    ]
    require_gap(ends)
    return found


def _label_until(split: SplitCount, horizon_us: int | None) -> int | None:
    """Where the last label window of a split ends, if anybody said."""
    if split.label_until_us is not None:
        return split.label_until_us
    return None if horizon_us is None else split.last_us + horizon_us


def _day(at_us: int) -> str:
    """Midnights as days, other moments to the minute."""
    at = moment(at_us)
    return f"{at:%Y-%m-%d}" if at_us % _DAY_US == 0 else f"{at:%Y-%m-%d %H:%M}"


def _count(found: Survey, chunk: Chunk) -> None:
    if chunk.split is None:
        found.dropped += chunk.anchors.num_rows
    elif chunk.anchors.num_rows:
        found.splits.setdefault(chunk.split, SplitCount()).add(chunk)
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
