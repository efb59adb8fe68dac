"""What an adapter is: a description of a source, and functions that find it and read it as canonical chunks.

To add a source, put one module with an `ADAPTER` into this folder: it is found by its name, and the behavioural
suite in `tests/contract/test_adapters.py` covers it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feature_repo.events import TIMESTAMP
from training.adapters.coded_text import TEXT
from training.adapters.source_settings import About, AttributeSettings, DataSettings, IngestSettings, SqlSettings

__all__ = [
    "ITEM_ATTRIBUTES",
    "NUMBER_COLUMNS",
    "ROW_SCHEMA",
    "TEXT_COLUMNS",
    "USER_ATTRIBUTES",
    "About",
    "Adapter",
    "AttributeSettings",
    "CanonicalChunk",
    "Counts",
    "DataSettings",
    "Description",
    "IngestReport",
    "IngestSettings",
    "Problem",
    "Source",
    "SqlSettings",
    "TabularAdapter",
    "UnreadableRow",
]

USER_ATTRIBUTES = ("age_group", "gender", "occupation", "country", "area")
"""What a source may say about a customer, beside the event that says it."""

ITEM_ATTRIBUTES = ("category", "brand", "title", "description", "list_price", "unit_cost", "currency")
"""What a source may say about an item; prices are per piece."""

NUMBER_COLUMNS = ("quantity", "revenue", "cost", "list_price", "unit_cost")
TEXT_COLUMNS = (
    "user_id",
    "item_id",
    "session_id",
    "event_type",
    "currency",
    "category",
    *USER_ATTRIBUTES,
    "brand",
    "title",
    "description",
)

ROW_SCHEMA = pa.schema(
    [
        pa.field("event_timestamp", TIMESTAMP),
        *(pa.field(name, TEXT) for name in TEXT_COLUMNS),
        *(pa.field(name, pa.float64()) for name in NUMBER_COLUMNS),
    ]
)
"""One source row in canonical columns, not yet judged: null where the source has nothing, or nothing readable.

Text is coded: each different one is kept once."""


@dataclass(frozen=True)
class Source:
    """What an adapter reads: a name that may be shown, and the files.

    A database has no files but an `address`, which is never shown, for it may hold a password. For it `ingest` sets
    `spool`, a folder that survives a failed run: what was read so far can be kept there.
    """

    name: str
    files: tuple[Path, ...] = ()
    address: str = field(default="", repr=False)
    spool: Path | None = None


@dataclass(frozen=True)
class Problem:
    """Rows of a chunk that cannot be used: `rows` is bool[n]; `detail` names columns, never a customer."""

    reason: str
    detail: str
    rows: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class UnreadableRow:
    """A source row that does not even split into columns; it goes to quarantine as it is."""

    source_row: int
    reason: str
    detail: str
    source_values: Mapping[str, Any]


@dataclass(frozen=True)
class CanonicalChunk:
    """Some rows of a source, in the source's order.

    `source` holds them as they were read (every column of the source; text may be coded), `rows` in the columns of
    `ROW_SCHEMA`; `source_row` is int64[n], where the first data row of the source is 1. `problems` are what the adapter
    found; `unreadable` are rows that are in none of the three. In a chunk about items or users a null `event_timestamp`
    without a problem means that it holds since the log's first event; their rows are numbered by themselves.
    """

    source: pa.Table
    rows: pa.Table
    source_row: npt.NDArray[np.int64]
    problems: tuple[Problem, ...] = ()
    unreadable: tuple[UnreadableRow, ...] = ()
    about: About = "events"


@dataclass(frozen=True)
class Counts:
    """How large the published data set is; compared when the whole of it is ingested.

    `lines`, `customers` and `items` are those of the whole; `usable_items` those of the lines that can be used, where
    these are fewer.
    """

    lines: int
    customers: int
    items: int
    usable_items: int | None = None


@dataclass(frozen=True)
class Description:
    """What is told about a source before it is read.

    `delay_hours` is what an event takes to become known; None means that the settings say it. `page` is the
    address of the data set's page, `counts` None where every user has other data.
    """

    name: str
    title: str
    licence: str
    page: str
    delay_hours: float | None
    counts: Counts | None = None


@dataclass(frozen=True)
class Adapter:
    """One source of events.

    `locate(settings, path)` returns what to read, or raises SourceDataError or SettingsError; `path` is what the
    user named, or None. `read(source, settings)` yields its rows in order, and holds one chunk at a time.
    """

    description: Description
    locate: Callable[[DataSettings, Path | None], Source]
    read: Callable[[Source, DataSettings], Iterator[CanonicalChunk]]


@dataclass(frozen=True)
class TabularAdapter:
    """One source that is a benchmark table without customers, items or times: no events can be made of it.

    `columns` gives the type of each column in the order of the file; `read(source)` yields tables of text cells.
    """

    description: Description
    locate: Callable[[DataSettings, Path | None], Source]
    columns: Mapping[str, pa.DataType]
    label: str


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did: `rows_in` = `events` + the sum of `quarantined` (reason to number of rows).

    `users` and `items` count the rows of those tables (one a change), `customers` and `distinct_items` what they
    are about. `attribute_rows` counts the rows of files about items and users (`items`, `items_quarantined`, ...),
    which are not in `rows_in`. `delay_hours` is the one applied. `first` and `last` are ISO 8601 in UTC. Of a
    benchmark table `table_rows` are written instead of events. `replaced` names adapter and source of the log that was
    there before, if one of them was another.
    """

    adapter: str
    source: str
    rows_in: int
    events: int
    users: int
    items: int
    customers: int
    distinct_items: int
    first: str | None
    last: str | None
    delay_hours: float
    seconds: float
    quarantined: dict[str, int] = field(default_factory=dict)
    odd: tuple[str, ...] = ()
    attribute_rows: dict[str, int] = field(default_factory=dict)
    table_rows: int = 0
    replaced: tuple[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the report as a dictionary that JSON can hold."""
        return {**self.__dict__, "odd": list(self.odd)}
