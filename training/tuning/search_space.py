"""The space that a member declares: what is searched, its points on a grid, and a fingerprint to tell it by."""

import hashlib
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from feature_repo.errors import InputError
from training.models.contract import Parameter, Value

__all__ = ["clamped", "defaults", "fingerprint", "grid_points", "points_one_at_a_time", "searched", "suggest"]

_GRID_VALUES = 3
_GRID_AT_MOST = 20_000


def searched(member: str, declared: Sequence[Parameter], only: Sequence[str] = ()) -> tuple[Parameter, ...]:
    """Return the parameters that a study of `member` searches: those declared so, or any that `only` names.

    Each of `only` is a name, or a name with the values to try beside the default: `steps=20,128`.

    Raises:
        InputError: a name is not known or there twice, or a value is not accepted; what is expected is listed.
    """
    if not only:
        return tuple(parameter for parameter in declared if parameter.searched)
    known = {parameter.name: parameter for parameter in declared}
    asked = [text.partition("=") for text in only]
    names = [name for name, _, _ in asked]
    wrong = [name for name in names if name not in known or names.count(name) > 1]
    if wrong:
        raise InputError(
            f"Parameters {', '.join(wrong)} of member {member!r} cannot be searched; expected some of "
            f"{', '.join(known) or 'none: it has nothing to tune'}, each once. Correct the names after --only."
        )
    return tuple(_of_values(known[name], text) if equals else known[name] for name, equals, text in asked)


def _of_values(parameter: Parameter, text: str) -> Parameter:
    """Return `parameter` as a choice between its default and the values in `text`, between commas."""
    values = [_read(parameter, word.strip()) for word in text.split(",")]
    refused = [value for value in values if not parameter.accepts(value)]
    if refused:
        raise InputError(
            f"Values {', '.join(map(repr, refused))} of parameter {parameter.name!r} cannot be tried; expected each to "
            f"be {parameter.expected()}, with commas between. Correct what follows --only {parameter.name}=."
        )
    return replace(parameter, kind="choice", choices=tuple(dict.fromkeys([parameter.default, *values])))


def _read(parameter: Parameter, word: str) -> Value:
    """Return the value that `word` is meant as; the word itself if it is none."""
    if parameter.kind in ("choice", "bool"):
        return next((value for value in _words(parameter) if str(value).lower() == word.lower()), word)
    try:
        return int(word) if parameter.kind == "int" else float(word)
    except ValueError:
        return word


def fingerprint(space: Sequence[Parameter], shared: Mapping[str, Value] | None = None) -> str:
    """Return 16 hex digits that change with any name, kind, range, choice or default of `space`.

    They change with `shared` as well: what every trial is told beside the values that are searched.
    """
    told: list[Any] = [{**asdict(parameter), "about": ""} for parameter in sorted(space, key=lambda one: one.name)]
    told += [dict(shared)] if shared else []
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def defaults(space: Sequence[Parameter]) -> dict[str, Value]:
    """Return each parameter's default."""
    return {parameter.name: parameter.default for parameter in space}


def clamped(space: Sequence[Parameter], values: dict[str, Value]) -> dict[str, Value]:
    """Return `values` moved into their ranges: a default may lie outside, and a sampler needs a place for it."""
    moved: dict[str, Value] = {}
    for parameter in space:
        value = values[parameter.name]
        if parameter.kind in ("int", "float") and isinstance(value, int | float):
            inside = min(max(value, parameter.low), parameter.high)
            value = int(inside) if parameter.kind == "int" else float(inside)
        moved[parameter.name] = value
    return moved


def suggest(trial: Any, space: Sequence[Parameter]) -> dict[str, Value]:
    """Ask `trial` (Optuna's) for a value of each parameter."""
    asked: dict[str, Value] = {}
    for parameter in space:
        name = parameter.name
        if parameter.kind == "int":
            asked[name] = trial.suggest_int(name, int(parameter.low), int(parameter.high), log=parameter.log)
        elif parameter.kind == "float":
            asked[name] = trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
        else:
            asked[name] = trial.suggest_categorical(name, _words(parameter))
    return asked


def grid_points(space: Sequence[Parameter], seed: int) -> Iterator[dict[str, Value]]:
    """Yield the points of the grid in an order that `seed` shuffles, so that a short budget sees all of the space.

    A number takes its lowest, middle and highest value (on its own scale), and its default if that is another one; of
    a grid of more than 20,000 points as many are drawn.
    """
    axes = [_axis(parameter) for parameter in space]
    for place in _shuffled(math.prod(map(len, axes)), random.Random(seed)):  # noqa: S311 (no secret)
        point: dict[str, Value] = {}
        for parameter, axis in zip(space, axes, strict=True):
            place, number = divmod(place, len(axis))
            point[parameter.name] = axis[number]
        yield point


def points_one_at_a_time(space: Sequence[Parameter]) -> Iterator[dict[str, Value]]:
    """Yield the points of the grid that differ from the defaults in one parameter, in the order of `space`."""
    usual = clamped(space, defaults(space))
    for parameter in space:
        for value in _axis(parameter):
            if value != usual[parameter.name]:
                yield {**usual, parameter.name: value}


def _shuffled(size: int, source: random.Random) -> Iterator[int]:
    """Yield numbers below `size` in random order, each once, at most 20,000; `size` may be of any magnitude."""
    if size <= _GRID_AT_MOST:
        yield from source.sample(range(size), size)
        return
    seen: set[int] = set()
    while len(seen) < _GRID_AT_MOST:
        place = source.randrange(size)
        if place not in seen:
            seen.add(place)
            yield place


def _axis(parameter: Parameter) -> list[Value]:
    if parameter.kind in ("choice", "bool"):
        return list(_words(parameter))
    low, high = float(parameter.low), float(parameter.high)
    shares = [step / (_GRID_VALUES - 1) for step in range(_GRID_VALUES)]
    along = [low * (high / low) ** share if parameter.log else low + (high - low) * share for share in shares]
    along = [min(max(value, low), high) for value in along]
    values: list[Value] = sorted({round(value) for value in along} if parameter.kind == "int" else set(along))
    inside = low <= float(parameter.default) <= high
    return values if parameter.default in values or not inside else [*values, parameter.default]


def _words(parameter: Parameter) -> tuple[Value, ...]:
    return (False, True) if parameter.kind == "bool" else parameter.choices
