"""The `[data]` part of `intent.toml`: where the events come from, and what their columns mean."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

__all__ = ["Attributes", "Data", "Sql"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Attributes(_Section):
    """A file about items or customers, beside the events; for the adapter `table`."""

    path: Path
    """CSV or Parquet; relative to the folder of `intent.toml`."""
    columns: dict[str, str]
    """Canonical name → column of the file; without `event_timestamp` it holds since the log's first event."""


class Sql(_Section):
    """A database; for the adapter `sql`. Its columns are those of `[data.columns]`."""

    url: str | None = None
    """SQLAlchemy's address; `${NAME}` stands for an environment variable, so that no password is written here."""
    events: str
    """A query with one row an event."""
    items: str | None = None
    """A query with one row an item, or one for each change of it."""
    users: str | None = None
    """A query with one row a customer, or one for each change of them."""
    keys: dict[Literal["events", "items", "users"], tuple[str, ...]]
    """For each query the columns that tell its rows apart and are never null; pages are read in their order."""
    item_columns: dict[str, str] = Field(default_factory=dict)
    """Canonical name → column of the items query."""
    user_columns: dict[str, str] = Field(default_factory=dict)
    """Canonical name → column of the users query."""
    page_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 50_000
    """Rows to ask for at once."""
    attempts: Annotated[int, Field(ge=1, le=100)] = 5
    """How often a page is asked for, with pauses that grow, before giving up."""


class Data(_Section):
    """Where the events come from. `columns`, `constants` and `event_types` are for the adapters `table` and `sql`."""

    adapter: str
    path: Path | None = None
    """A file; relative to the folder of `intent.toml`. None: the adapter finds its own."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Canonical name → column of the source."""
    constants: dict[str, str] = Field(default_factory=dict)
    """Canonical name → the same value on every row, such as `currency = "EUR"`."""
    event_types: dict[str, str] = Field(default_factory=dict)
    """The source's word for a type of event → ours, such as `pageview = "view"`; capitals do not matter."""
    timezone: str = "UTC"
    """The zone of timestamps that carry none."""
    time_format: str | None = None
    """How times are written, as for strptime (`%d/%m/%Y %H:%M`); None: ISO 8601 or Unix time."""
    items: Attributes | None = None
    """A file about the items."""
    users: Attributes | None = None
    """A file about the customers."""
    sql: Sql | None = None
    """The database of the adapter `sql`."""
    delay_hours: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """How long after an event the shop knew of it."""
    _file: Path = PrivateAttr(default=Path("intent.toml"))

    @property
    def file(self) -> Path:
        """The file of these settings, to name it in messages; `intent.toml` where they came from none."""
        return self._file

    def of_file(self, file: Path) -> "Data":
        """Return the same settings, which name `file` as theirs."""
        copied = self.model_copy()
        copied._file = file
        return copied
