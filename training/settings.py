"""`intent.toml`: what is predicted, from which data, with which splits. Every command reads it.

Frozen and strict: an unknown key is refused, for a misspelt key that is ignored changes a result in silence.
"""

import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from feature_repo.errors import SettingsError

__all__ = ["Anchors", "Data", "Settings", "Splits", "Task", "template"]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Section):
    """Where the events come from. `columns` and `constants` are for the adapter `table`."""

    adapter: str
    path: Path | None = None
    """A file; relative to the folder of `intent.toml`. None: the adapter finds its own."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Canonical name → column of the source."""
    constants: dict[str, str] = Field(default_factory=dict)
    """Canonical name → the same value on every row, such as `currency = "EUR"`."""
    timezone: str = "UTC"
    """The zone of timestamps that carry none."""
    delay_hours: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """How long after an event the shop knew of it."""


class Task(_Section):
    """Will this customer buy within (t, t + horizon]?"""

    horizon_days: Annotated[int, Field(ge=1, le=365)]

    @property
    def horizon(self) -> timedelta:
        """The label's horizon."""
        return timedelta(days=self.horizon_days)


class Anchors(_Section):
    """Every `every` at 00:00 UTC from `first` on, each customer who bought before."""

    every: Weekday
    first: date


class Splits(_Section):
    """train: t + horizon <= train_until; validation: from there while t + horizon <= validation_until; test: after."""

    train_until: date
    validation_until: date
    log_end: date
    """The first moment the log no longer covers; anchors with t + horizon after it are dropped, and counted."""

    @model_validator(mode="after")
    def _in_order(self) -> "Splits":
        if not self.train_until < self.validation_until < self.log_end:
            raise ValueError(
                f"expected train_until < validation_until < log_end, got {self.train_until}, "
                f"{self.validation_until}, {self.log_end}"
            )
        return self


class Settings(_Section):
    """All of `intent.toml`."""

    data: Data
    task: Task
    anchors: Anchors
    splits: Splits
    seed: int = 20001101

    @classmethod
    def load(cls, path: Path) -> "Settings":
        """Read and check `path`.

        Raises:
            SettingsError: the file is missing, is not TOML, or a key is missing, unknown or of another type.
        """
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SettingsError(
                f"No settings at {path}; expected an intent.toml. Run `intent init`, or name one with --config."
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
            raise SettingsError(
                f"{path} is not TOML: {problem}. Correct that place, or begin again with `intent init`."
            ) from None
        try:
            settings = cls.model_validate(raw)
        except ValidationError as problem:
            raise SettingsError(f"{path} cannot be used:\n{_explain(problem)}") from None
        return settings._with_path_from(path.parent)

    def _with_path_from(self, folder: Path) -> "Settings":
        if self.data.path is None or self.data.path.is_absolute():
            return self
        return self.model_copy(update={"data": self.data.model_copy(update={"path": folder / self.data.path})})

    def last_anchor(self) -> datetime:
        """The last anchor date whose label window the log covers in full.

        >>> load = Settings.model_validate
        >>> load({"data": {"adapter": "ta_feng"}, "task": {"horizon_days": 7},
        ...       "anchors": {"every": "monday", "first": "2000-12-04"},
        ...       "splits": {"train_until": "2001-01-15", "validation_until": "2001-02-05",
        ...                  "log_end": "2001-03-01"}}).last_anchor().date().isoformat()
        '2001-02-19'
        """
        latest = self.splits.log_end - self.task.horizon
        back = (latest.weekday() - WEEKDAYS.index(self.anchors.every)) % 7
        return midnight(latest - timedelta(days=back))


def midnight(day: date) -> datetime:
    """00:00 UTC of `day`."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _explain(problem: ValidationError) -> str:
    lines = []
    for error in problem.errors(include_url=False):
        where = ".".join(str(part) for part in error["loc"]) or "the file"
        lines.append(f"  {where}: got {error['input']!r}; {error['msg']}")
    return "\n".join(lines) + "\nCorrect these keys; `intent init --help` shows a whole file."


def template(adapter: str) -> str:
    """Return the text of a new `intent.toml` for `adapter`, with a comment for each choice."""
    head = _TEMPLATE_DATA.get(adapter, f'[data]\nadapter = "{adapter}"\n')
    return f"{_HEAD}{head}{_REST}"


_HEAD = """# What Purchase Intent predicts, and from which data. Every `intent` command reads this file.

seed = 20001101                 # the same seed gives the same predictions

"""

_TEMPLATE_DATA = {
    "table": """[data]
adapter = "table"
path = "purchases.csv"          # CSV or Parquet, relative to this file
timezone = "UTC"                # of timestamps that carry no zone
delay_hours = 0.0               # how long after an event the shop knew of it

[data.columns]                  # canonical name = "column of your file"
user_id = "customer"
event_timestamp = "bought_at"
item_id = "sku"
quantity = "quantity"
revenue = "line_total"

[data.constants]                # the same on every row
event_type = "purchase"
currency = "EUR"
"""
}

_REST = """
[task]
horizon_days = 7                # will the customer buy within (t, t + 7 days]?

[anchors]
every = "monday"                # 00:00 UTC; every customer who bought before
first = 2000-12-04

[splits]                        # contiguous in time; an anchor whose label window is cut is dropped, and counted
train_until = 2001-01-15
validation_until = 2001-02-05
log_end = 2001-03-01            # the first day that the log no longer covers
"""
