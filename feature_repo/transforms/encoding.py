"""From features to the numbers a model takes, by what was fitted on the training period alone.

An encoding is data (it lives as JSON in the bundle), and applying it is a pure function: training and the service
run the same code. Fitting it is `training/models/fit_encoding.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import FeatureError
from feature_repo.transforms.customer import CustomerFeatures

__all__ = ["NumericColumn", "OneHotColumn", "SequenceEncoding", "TabularEncoding"]


@dataclass(frozen=True)
class NumericColumn:
    """One number: `(g(x) - mean) / scale` with g = signed log1p if `log`, else identity.

    `fill` replaces a missing x before that; None leaves it missing (NaN), as trees like it. Where `low` and `high` are
    given, an x beyond them counts as the nearer one: a model is not asked to go on in a straight line to where the
    training period had nothing.
    """

    name: str
    fill: float | None = None
    log: bool = False
    mean: float = 0.0
    scale: float = 1.0
    low: float | None = None
    high: float | None = None

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the encoded column, float64 of the same shape."""
        if self.fill is not None:
            values = np.where(np.isnan(values), self.fill, values)
        if self.low is not None or self.high is not None:
            values = np.clip(values, self.low, self.high)
        if self.log:
            values = np.sign(values) * np.log1p(np.abs(values))
        return (values - self.mean) / self.scale


class _Numbers(NamedTuple):
    """All numeric columns side by side: their parameters, each of shape (columns, 1)."""

    names: tuple[str, ...]
    fill: NDArray[np.float64]
    fills: NDArray[np.bool_]
    log: NDArray[np.int64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    is_filled: bool
    is_bounded: bool
    is_scaled: bool

    @classmethod
    def of(cls, columns: tuple[NumericColumn, ...]) -> "_Numbers":
        return cls(
            tuple(column.name for column in columns),
            np.array([[0.0 if column.fill is None else column.fill] for column in columns]).reshape(-1, 1),
            np.array([[column.fill is not None] for column in columns], np.bool_).reshape(-1, 1),
            np.flatnonzero([column.log for column in columns]),
            np.array([[column.mean] for column in columns]).reshape(-1, 1),
            np.array([[column.scale] for column in columns]).reshape(-1, 1),
            np.array([[-np.inf if column.low is None else column.low] for column in columns]).reshape(-1, 1),
            np.array([[np.inf if column.high is None else column.high] for column in columns]).reshape(-1, 1),
            any(column.fill is not None for column in columns),
            any(column.low is not None or column.high is not None for column in columns),
            any(column.mean != 0 or column.scale != 1 for column in columns),
        )

    def apply(self, numeric: Mapping[str, NDArray[Any]], n: int) -> NDArray[np.float64]:
        """Return what `NumericColumn.apply` gives of each column, float64 of shape (columns, n), the same bits."""
        values = _side_by_side(numeric, self.names, n)
        if self.is_filled:
            np.copyto(values, self.fill, where=np.isnan(values) & self.fills)
        if self.is_bounded:  # what `np.clip` does, in a third of its time for a few numbers
            np.maximum(values, self.low, out=values)
            np.minimum(values, self.high, out=values)
        if len(self.log):
            logged = values[self.log]
            values[self.log] = np.sign(logged) * np.log1p(np.abs(logged))
        if self.is_scaled:  # else nothing would change, as with trees
            values -= self.mean
            values /= self.scale
        return values


@dataclass(frozen=True)
class OneHotColumn:
    """One 0/1 column for each word of `vocabulary`, and a last one for a missing or unknown word."""

    name: str
    vocabulary: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Names of the columns it makes."""
        return [f"{self.name}={word}" for word in (*self.vocabulary, "unknown")]

    def apply(self, words: NDArray[np.object_]) -> NDArray[np.float64]:
        """Return float64 of shape (n, len(vocabulary) + 1)."""
        encoded = np.zeros((len(words), len(self.vocabulary) + 1))
        self.mark(words, encoded)
        return encoded

    def mark(self, words: NDArray[np.object_], table: NDArray[Any]) -> None:
        """Write 1 into `table`, all 0 and of shape (rows, len(vocabulary) + 1), at each word's column.

        `words` has shape (rows,), or (1,) for one word that is of all rows.
        """
        place, unknown = self._place, len(self.vocabulary)
        if len(words) == 1:
            table[:, place.get(words[0], unknown)] = 1
        else:
            codes = np.fromiter((place.get(word, unknown) for word in words), np.int64, len(words))
            table[np.arange(len(words)), codes] = 1

    @cached_property
    def _place(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.vocabulary)}


@dataclass(frozen=True)
class TabularEncoding:
    """The columns of a model's table, in order: all numeric ones, all one-hot ones, then for each feature of `missing`
    a 0/1 column that says whether it is missing, then the codes of the item that is asked about, as they are.
    """

    numeric: tuple[NumericColumn, ...]
    one_hot: tuple[OneHotColumn, ...] = ()
    missing: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the encoded columns, in order."""
        words = [name for c in self.one_hot for name in c.names]
        missing = [f"{name} is missing" for name in self.missing]
        return [c.name for c in self.numeric] + words + missing + [f"code of {name}" for name in self.codes]

    def apply(self, features: CustomerFeatures) -> NDArray[np.float32]:
        """Return float32 of shape (n, len(names)).

        Raises:
            FeatureError: a column that the model was fitted with is not among the features.
        """
        n, place = features.n, len(self.numeric)
        table = np.zeros((n, self._width), np.float32)
        try:
            table[:, :place] = self._numbers.apply(features.numeric, n).T
            for words in self.one_hot:
                end = place + len(words.vocabulary) + 1
                words.mark(features.categorical[words.name], table[:, place:end])
                place = end
            if self.missing:
                end = place + len(self.missing)
                table[:, place:end] = np.isnan(_side_by_side(features.numeric, self.missing, n)).T
                place = end
            for name in self.codes:
                table[:, place] = features.candidate[name]
                place += 1
        except KeyError:
            raise self._lacking(features) from None
        return table

    @cached_property
    def _width(self) -> int:
        return len(self.names)

    @cached_property
    def _numbers(self) -> _Numbers:
        return _Numbers.of(self.numeric)

    def _lacking(self, features: CustomerFeatures) -> FeatureError:
        known = features.numeric.keys() | features.categorical.keys() | features.candidate.keys()
        wanted = {n.name for n in self.numeric} | {o.name for o in self.one_hot} | set(self.missing) | set(self.codes)
        return FeatureError(
            f"Features {sorted(wanted - known)} are not there; expected all the model was fitted with. "
            "Train again, or serve the bundle with the release that made it."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the encoding as JSON-able data."""
        return {name: part for name, part in asdict(self).items() if name not in ("missing", "codes") or part}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "TabularEncoding":
        """Rebuild an encoding from `to_json`."""
        return cls(
            tuple(NumericColumn(**column) for column in data["numeric"]),
            tuple(OneHotColumn(c["name"], tuple(c["vocabulary"])) for c in data["one_hot"]),
            tuple(data.get("missing", ())),
            tuple(data.get("codes", ())),
        )


@dataclass(frozen=True)
class SequenceEncoding:
    """The channels of a model's sequence, each encoded as a number, then `codes` as they are; lists keep their lengths.

    A code is a whole number below 2**24, which float32 holds exactly: the model looks it up in a table of its own.
    The newest `max_length` steps of a list are read. `kept` is how many steps the lists' view kept when the model was
    fitted: a longer list is of another view. None where that is not known, as in bundles of earlier versions.
    """

    channels: tuple[NumericColumn, ...]
    max_length: int
    codes: tuple[str, ...] = ()
    kept: int | None = None

    @property
    def names(self) -> list[str]:
        """Names of the channels, in order."""
        return [*(channel.name for channel in self.channels), *(f"code of {name}" for name in self.codes)]

    def apply(self, features: CustomerFeatures) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return values, float32 of shape (total, channels and codes), and offsets, int64 of shape (n + 1,).

        Raises:
            FeatureError: a channel that the model was fitted with is not among the features, or a list is longer than
                its view's lists were when the model was fitted.
        """
        try:
            lists = {channel.name: features.sequences[channel.name] for channel in self.channels}
            lists |= {name: features.codes[name] for name in self.codes}
        except KeyError:
            raise self._lacking(features) from None
        first = lists[self.channels[0].name]
        longest = int(first.lengths.max(initial=0))
        if self.kept is not None and longest > self.kept:
            raise self._too_long(longest)
        if longest > self.max_length:
            keep = _newest(first.lengths, self.max_length)
            lists = {name: item.where(keep) for name, item in lists.items()}
            first = lists[self.channels[0].name]
        steps = {name: item.values for name, item in lists.items()}
        table = np.empty((len(first.values), len(self.channels) + len(self.codes)), np.float32)
        table[:, : len(self.channels)] = self._numbers.apply(steps, len(table)).T
        for place, name in enumerate(self.codes, len(self.channels)):
            table[:, place] = steps[name]
        return table, first.offsets

    def longer(self, features: CustomerFeatures) -> int:
        """Count the lists of which not all steps are read."""
        return int(np.count_nonzero(features.sequences[self.channels[0].name].lengths > self.max_length))

    @cached_property
    def _numbers(self) -> _Numbers:
        return _Numbers.of(self.channels)

    def _too_long(self, longest: int) -> FeatureError:
        return FeatureError(
            f"A list of {self.channels[0].name!r} has {longest} steps; expected at most {self.kept}, as its view kept "
            "when the model was fitted. Look the features up in that view, or train again on what it keeps now."
        )

    def _lacking(self, features: CustomerFeatures) -> FeatureError:
        known = features.sequences.keys() | features.codes.keys()
        wanted = {channel.name for channel in self.channels} | set(self.codes)
        return FeatureError(
            f"Sequences {sorted(wanted - known)} are not there; expected all the model was fitted with. "
            "Train again, or serve the bundle with the release that made it."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the encoding as JSON-able data."""
        return {name: part for name, part in asdict(self).items() if name not in ("codes", "kept") or part}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "SequenceEncoding":
        """Rebuild an encoding from `to_json`."""
        channels = tuple(NumericColumn(**column) for column in data["channels"])
        return cls(channels, data["max_length"], tuple(data.get("codes", ())), data.get("kept"))


def _side_by_side(numeric: Mapping[str, NDArray[Any]], names: Sequence[str], n: int) -> NDArray[np.float64]:
    """Return a row for each of `names`, float64 of shape (names, n); one value stands for all n."""
    columns = [numeric[name] for name in names]
    if n == 1 and names:  # one customer's: a tenth of the time that as many assignments take
        return np.concatenate(columns, dtype=np.float64).reshape(-1, 1)
    table = np.empty((len(names), n))
    for row, column in enumerate(columns):
        table[row] = column
    return table


def _newest(lengths: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """Mark in lists of `lengths`, laid end to end, the last `count` places of each."""
    ends = np.repeat(np.cumsum(lengths), lengths)
    return np.asarray(ends - np.arange(len(ends)) <= count)
