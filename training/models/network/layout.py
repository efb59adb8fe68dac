"""What the columns of a network's two inputs are: numbers, codes to embed, times, and what is of the candidate item."""

from dataclasses import dataclass

from feature_repo.transforms.encoding import SequenceEncoding, TabularEncoding
from feature_repo.transforms.event_sequence import CODE_BUCKETS

__all__ = ["Layout", "layout_of"]

# How long before t a step was, and how long after the one before it: what tells time to a network without order.
TIMES = ("days_before_anchor", "gap_before_days", "event_seconds_before", "event_gap_seconds")
# Numbers of the candidate item, or of the customer with it, begin so.
OF_ITEM = ("item_", "list_price", "category_", "price_")


@dataclass(frozen=True)
class Layout:
    """The columns of `sequence` and `tabular`.

    `channels`: numbers of a step. `codes`: fields of the codes that follow them. `times`: which channels are times.
    `columns`: numbers of a row. `candidate`: fields of the item's codes that follow them. `of_item`: which of the
    columns are about the candidate item; empty where none is asked about.
    """

    channels: int
    codes: tuple[str, ...]
    times: tuple[int, ...]
    columns: int
    candidate: tuple[str, ...]
    of_item: tuple[int, ...]

    @property
    def sequence_width(self) -> int:
        """Columns of a step, codes included; 0 without a sequence."""
        return self.channels + len(self.codes)

    @property
    def table_width(self) -> int:
        """Columns of a row, codes included."""
        return self.columns + len(self.candidate)

    def buckets(self, field: str) -> int:
        """How many codes `field` has."""
        return CODE_BUCKETS[field]


def layout_of(sequence: SequenceEncoding | None, tabular: TabularEncoding) -> Layout:
    """Return the layout of what the encodings give."""
    names = tabular.names[: len(tabular.names) - len(tabular.codes)]
    channels = [] if sequence is None else [channel.name for channel in sequence.channels]
    return Layout(
        channels=len(channels),
        codes=() if sequence is None else sequence.codes,
        times=tuple(place for place, name in enumerate(channels) if name in TIMES),
        columns=len(names),
        candidate=tabular.codes,
        of_item=tuple(i for i, name in enumerate(names) if name.startswith(OF_ITEM)) if tabular.codes else (),
    )
