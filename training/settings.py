"""`intent.toml`: what is predicted, from which data, with which splits. Every command reads it.

Frozen and strict: an unknown key is refused, for a misspelt key that is ignored changes a result in silence.
"""

import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from feature_repo.errors import SettingsError
from training.data_settings import Data
from training.models.parameters import Value
from training.train_settings import Train, require_members

__all__ = ["Anchors", "Data", "Features", "Settings", "Splits", "Task", "midnight", "template"]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Every = Literal["day", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Task(_Section):
    """What is asked; `training/tasks/` has the tasks by name, each with the keys that it takes."""

    name: str = "purchase_within_horizon"
    horizon_days: Annotated[int, Field(ge=1, le=365)] | None = None
    horizon_hours: Annotated[int, Field(ge=1, le=8760)] | None = None
    """The label looks at (t, t + horizon]; one of the two."""
    prefixes: tuple[Annotated[int, Field(ge=1)], ...] = (1, 3, 5, 10)
    """After how many events of a session it is asked."""
    lookback_days: Annotated[int, Field(ge=1, le=365)] = 7
    """Which items are candidates: those that the customer had to do with in so many days before t."""
    paid_only: bool = False
    """Purchases count, for anchors and labels, only with a revenue above 0: a gift is none."""
    features: str | None = None
    """Another feature service than the task's own."""

    @property
    def horizon(self) -> timedelta:
        """The label's horizon; a day where the task has none, such as the end of a session."""
        hours = (self.horizon_days or 0) * 24 + (self.horizon_hours or 0)
        return timedelta(hours=hours or 24)

    @property
    def days(self) -> float:
        """The label's horizon in days."""
        return self.horizon / timedelta(days=1)


class Anchors(_Section):
    """Every `every` at 00:00 in `timezone` from `first` on, each customer known by then."""

    every: Every | None = None
    first: date | None = None
    timezone: str = "UTC"
    """Whose midnights count, for anchors and for the borders of the splits."""
    known_by: Literal["purchase", "event"] = "purchase"
    """Who is asked about: customers with a purchase before t, or with any event."""
    exclude: tuple[str, ...] = ()
    """Customers to leave out, such as test accounts, or one whose history the source cuts off; they are counted."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("expected the name of a time zone, such as Europe/Berlin") from None
        return name


class Splits(_Section):
    """train: t + horizon <= train_until; validation: from there while t + horizon <= validation_until; test: after.

    A date is its midnight in the time zone of the anchors, and so is a moment without a zone.
    """

    train_until: date | datetime
    validation_until: date | datetime
    log_end: date | datetime
    """The first moment the log no longer covers; anchors with t + horizon after it are dropped, and counted."""

    @model_validator(mode="after")
    def _in_order(self) -> "Splits":
        train, validation, end = (midnight(day) for day in (self.train_until, self.validation_until, self.log_end))
        if not train < validation < end:
            raise ValueError(
                f"expected train_until < validation_until < log_end, got {self.train_until}, "
                f"{self.validation_until}, {self.log_end}"
            )
        return self


class Features(_Section):
    """How features become numbers; everything is fitted on the training period alone, and lives in the bundle."""

    impute: Literal["median", "mean", "indicator", "delete", "refuse"] = "median"
    """What stands for a missing number where a model needs one: the median or mean of the training period, the median
    and a column that says so, the mean of the rows without any missing (the others are left out of the fit), or
    nothing: then a feature with missing values is refused, by name, by every member that reads it. Else trees take
    missing values as they are."""
    holidays: tuple[date, ...] = ()
    """Days whose distance counts, in the anchors' time zone; without any there is no such feature."""


class Settings(_Section):
    """All of `intent.toml`."""

    data: Data
    task: Task
    anchors: Anchors
    splits: Splits
    features: Features = Features()
    train: Train = Train()
    members: dict[str, dict[str, Value]] = {}
    """Member → parameter → value, as in [members.boosted_trees]; what is absent has the member's default."""
    seed: int = 20001101

    @field_validator("members")
    @classmethod
    def _known_members(cls, told: dict[str, dict[str, Value]]) -> dict[str, dict[str, Value]]:
        require_members(tuple(told))
        return told

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
                f"{path} is not TOML: {problem}{_given_twice(path, problem)}. Correct that place, or begin again with "
                "`intent init`."
            ) from None
        try:
            settings = cls.model_validate(raw)
        except ValidationError as problem:
            raise SettingsError(f"{path} cannot be used:\n{_explain(problem)}") from None
        settings._check_task()
        return settings._of_file(path)

    def _check_task(self) -> None:
        from training.tasks import task_named  # tasks know the settings

        task_named(self.task.name).check(self)

    @property
    def borders(self) -> tuple[datetime, datetime, datetime]:
        """The ends of train, of validation, and of the log, in UTC."""
        train, validation, end = (
            midnight(day, self.anchors.timezone)
            for day in (self.splits.train_until, self.splits.validation_until, self.splits.log_end)
        )
        return train, validation, end

    @property
    def log_end(self) -> datetime:
        """The first moment that the log no longer covers, in UTC."""
        return self.borders[2]

    def _of_file(self, file: Path) -> "Settings":
        def beside(part: Any) -> Any:
            if part is None or part.path is None or part.path.is_absolute():
                return part
            return part.model_copy(update={"path": file.parent / part.path})

        data = beside(self.data).of_file(file)
        data = data.model_copy(update={"items": beside(data.items), "users": beside(data.users)})
        return self.model_copy(update={"data": data})

    def last_anchor(self) -> datetime:
        """The last anchor date whose label window the log covers in full.

        >>> load = Settings.model_validate
        >>> load({"data": {"adapter": "ta_feng"}, "task": {"horizon_days": 7},
        ...       "anchors": {"every": "monday", "first": "2000-12-04"},
        ...       "splits": {"train_until": "2001-01-15", "validation_until": "2001-02-05",
        ...                  "log_end": "2001-03-01"}}).last_anchor().date().isoformat()
        '2001-02-19'
        """
        zone = ZoneInfo(self.anchors.timezone)
        latest = (self.log_end - self.task.horizon).astimezone(zone).date()
        every = self.anchors.every
        back = 0 if every in (None, "day") else (latest.weekday() - WEEKDAYS.index(str(every))) % 7
        return midnight(latest - timedelta(days=back), self.anchors.timezone)


def midnight(day: date | datetime, zone: str = "UTC") -> datetime:
    """00:00 of `day` in `zone`, as a moment in UTC; a moment stays what it is, and is of `zone` if it names none."""
    if isinstance(day, datetime):
        return (day if day.tzinfo else day.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def _given_twice(path: Path, problem: Exception) -> str:
    """Say which key stands a second time, as of a field with two columns; the parser only says where."""
    found = re.search(r"overwrite a value \(at line (\d+)", str(problem))
    if found is None:
        return ""
    key = path.read_text(encoding="utf-8").splitlines()[int(found[1]) - 1].split("=")[0].strip()
    return f"; got {key} a second time; expected each key once in its section"


def _explain(problem: ValidationError) -> str:
    words = {"missing": "expected it to be told", "tuple_type": 'expected a list, such as ["one", "another"]'}
    lines = []
    for error in problem.errors(include_url=False):
        where = ".".join(str(part) for part in error["loc"]) or "the file"
        keys = _keys_beside(error["loc"]) if error["type"] == "extra_forbidden" else None
        told = words.get(error["type"], error["msg"])
        wanted = told if keys is None else f"no such key; expected one of {', '.join(keys)}"
        # The input of a key that is missing is all that stands around it.
        got = "is not there" if error["type"] == "missing" else f"got {error['input']!r}"
        lines.append(f"  {where}: {got}; {wanted}")
    return "\n".join(lines) + "\nCorrect these keys; `intent init --config FILE` writes a whole file to compare with."


def _keys_beside(place: tuple[int | str, ...]) -> list[str] | None:
    """Return the keys that the section has in which a key was found; None where it is no section with names."""
    section: Any = Settings
    for part in place[:-1]:
        kinds = [kind for kind in _kinds(section.model_fields.get(part)) if hasattr(kind, "model_fields")]
        if len(kinds) != 1:
            return None
        section = kinds[0]
    return sorted(section.model_fields)


def _kinds(field: Any) -> tuple[Any, ...]:
    annotation = getattr(field, "annotation", None)
    return get_args(annotation) or (annotation,)


def template(adapter: str) -> str:
    """Return the text of a new `intent.toml` for `adapter`, with a comment for each choice."""
    head = _TEMPLATE_DATA.get(adapter, f'[data]\nadapter = "{adapter}"\n')
    return f"{_HEAD}{head}{_REST}"


_HEAD = """# What Purchase Intent predicts, and from which data. Every `intent` command reads this file.

seed = 20001101                 # the same seed gives the same predictions, on one machine

"""

_TEMPLATE_DATA = {
    "table": """[data]
adapter = "table"
path = "purchases.csv"          # CSV or Parquet, relative to this file
timezone = "UTC"                # of timestamps that carry no zone
delay_hours = 0.0               # how long after an event the shop knew of it
# time_format = "%d/%m/%Y %H:%M"  # unless times are ISO 8601 or Unix time

[data.columns]                  # canonical name = "column of your file"
user_id = "customer"
event_timestamp = "bought_at"
item_id = "sku"
quantity = "quantity"
revenue = "line_total"

[data.constants]                # the same on every row
event_type = "purchase"
currency = "EUR"

# Views, carts, catalogues, customers' attributes: [data.event_types], [data.items], [data.users]; see docs/adapters.md.
"""
}

_REST = """
[task]
horizon_days = 7                # will the customer buy within (t, t + 7 days]?

[anchors]
every = "monday"                # 00:00 UTC; every customer who bought before
first = 2000-12-04              # data_card.md tells from when to when your log goes
# timezone = "Europe/Berlin"    # whose midnight; UTC unless given

[splits]                        # contiguous in time; an anchor whose label window is cut is dropped, and counted
train_until = 2001-01-15
validation_until = 2001-02-05
log_end = 2001-03-01            # the first day that the log no longer covers
"""
