"""What an adapter is: a description of a source, and functions that find it and read it as canonical chunks.

To add a source, put one module with an `ADAPTER` into this folder: it is found by its name, and the behavioural
suite in `tests/contract/test_adapters.py` covers it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feature_repo.events import TIMESTAMP

__all__ = [
    "ITEM_ATTRIBUTES",
    "NUMBER_COLUMNS",
    "ROW_SCHEMA",
    "TEXT_COLUMNS",
    "USER_ATTRIBUTES",
    "Adapter",
    "CanonicalChunk",
    "Counts",
    "DataSettings",
    "Description",
    "IngestReport",
    "IngestSettings",
    "Problem",
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
        *(pa.field(name, pa.string()) for name in TEXT_COLUMNS),
        *(pa.field(name, pa.float64()) for name in NUMBER_COLUMNS),
    ]
)
"""One source row in canonical columns, not yet judged: null where the source has nothing, or nothing readable."""


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

    `source` holds them as they were read (every column of the source), `rows` in the columns of `ROW_SCHEMA`;
    `source_row` is int64[n], where the first data row of the source is 1. `problems` are what the adapter found;
    `unreadable` are rows that are in none of the three.
    """

    source: pa.Table
    rows: pa.Table
    source_row: npt.NDArray[np.int64]
    problems: tuple[Problem, ...] = ()
    unreadable: tuple[UnreadableRow, ...] = ()


@dataclass(frozen=True)
class Counts:
    """How large the published data set is; checked when the whole of it is ingested."""

    lines: int
    customers: int
    items: int


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


class DataSettings(Protocol):
    """The part of `intent.toml` that an adapter may read."""

    @property
    def adapter(self) -> str:
        """The adapter's name."""

    @property
    def path(self) -> Path | None:
        """The file to read; None lets the adapter find its own."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Canonical name to the source's column name."""

    @property
    def constants(self) -> Mapping[str, str]:
        """Canonical name to a value that holds for every row."""

    @property
    def timezone(self) -> str:
        """The zone of times that are written without one."""

    @property
    def delay_hours(self) -> float:
        """Hours from an event to when it is known."""


class IngestSettings(Protocol):
    """The settings that `ingest` needs."""

    @property
    def data(self) -> DataSettings:
        """Where the data is and what its columns mean."""


@dataclass(frozen=True)
class Adapter:
    """One source of events.

    `locate(settings, path)` returns the file to read, or raises SourceDataError or SettingsError; `path` is what the
    user named, or None. `read(file, settings)` yields the file's rows in order, and holds one chunk at a time.
    """

    description: Description
    locate: Callable[[DataSettings, Path | None], Path]
    read: Callable[[Path, DataSettings], Iterator[CanonicalChunk]]


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did: `rows_in` = `events` + the sum of `quarantined` (reason to number of rows).

    `users` and `items` count the rows of those tables (one a change), `customers` and `distinct_items` what they
    are about. `delay_hours` is the one applied. `first` and `last` are ISO 8601 in UTC.
    """

    adapter: str
    source: str
    rows_in: int
    events: int
    users: int
    items: int
    customers: int
    distinct_items: int
    first: str
    last: str
    delay_hours: float
    seconds: float
    quarantined: dict[str, int] = field(default_factory=dict)
    odd: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the report as a dictionary that JSON can hold."""
        return {**self.__dict__, "odd": list(self.odd)}
