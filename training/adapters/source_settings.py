"""What of `intent.toml` an adapter may read; the settings themselves are to the right of this layer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

__all__ = ["About", "AttributeSettings", "DataSettings", "IngestSettings", "SqlSettings"]

About = Literal["events", "items", "users"]
"""What the rows of a query or chunk are: events, or what is known about items or customers beside the events."""


class AttributeSettings(Protocol):
    """A second file about items or customers."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Canonical name to the file's column name."""


class SqlSettings(Protocol):
    """A database, and what to ask it."""

    @property
    def url(self) -> str | None:
        """SQLAlchemy's address; `${NAME}` stands for an environment variable."""

    @property
    def events(self) -> str:
        """A query with one row an event."""

    @property
    def items(self) -> str | None:
        """A query with one row an item, or one a change of it."""

    @property
    def users(self) -> str | None:
        """A query with one row a customer, or one a change of them."""

    @property
    def keys(self) -> Mapping[About, tuple[str, ...]]:
        """For each query (`events`, `items`, `users`) the columns that tell its rows apart, never null."""

    @property
    def page_rows(self) -> int:
        """Rows to ask for at once."""

    @property
    def attempts(self) -> int:
        """How often a page is asked for before giving up."""

    @property
    def item_columns(self) -> Mapping[str, str]:
        """Canonical name to column of the items query."""

    @property
    def user_columns(self) -> Mapping[str, str]:
        """Canonical name to column of the users query."""


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
    def event_types(self) -> Mapping[str, str]:
        """The source's word for a type of event to ours."""

    @property
    def time_format(self) -> str | None:
        """How times are written, as for strptime; None: ISO 8601 or Unix time."""

    @property
    def items(self) -> AttributeSettings | None:
        """A file about the items."""

    @property
    def users(self) -> AttributeSettings | None:
        """A file about the customers."""

    @property
    def sql(self) -> SqlSettings | None:
        """The database to read."""

    @property
    def timezone(self) -> str:
        """The zone of times that are written without one."""

    @property
    def delay_hours(self) -> float:
        """Hours from an event to when it is known."""

    @property
    def file(self) -> Path:
        """The file of the settings, to name it in messages."""


class IngestSettings(Protocol):
    """The settings that `ingest` needs."""

    @property
    def data(self) -> DataSettings:
        """Where the data is and what its columns mean."""
