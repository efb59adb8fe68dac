"""What a member may be told about itself, and where a search may look for better values."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from feature_repo.errors import InputError

__all__ = ["Parameter", "Value", "chosen_parameters", "flag", "one_of", "real", "whole"]

Value = float | int | str | bool


@dataclass(frozen=True)
class Parameter:
    """One number, word or switch of a member.

    `default` is what holds if nothing is said. A float or an int lies between `low` and `high`, both included, and is
    searched on a logarithmic scale if `log`; a choice is one of `choices`. A default may lie outside, such as a
    penalty of 0 whose range is logarithmic. A parameter that is not `searched` is left alone by tuning unless it is
    named: it costs time rather than deciding anything. `about` says in a few words what it does.
    """

    name: str
    kind: Literal["float", "int", "choice", "bool"]
    default: Value
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Value, ...] = ()
    searched: bool = True
    about: str = ""

    def accepts(self, value: Any) -> bool:
        """Whether `value` is one that the member can be told."""
        if self.kind == "bool":
            return isinstance(value, bool)
        if self.kind == "choice":
            return any(value == choice and isinstance(value, type(choice)) for choice in self.choices)
        if isinstance(value, bool) or not isinstance(value, int if self.kind == "int" else int | float):
            return False
        return bool(value == self.default) or (math.isfinite(value) and self.low <= value <= self.high)

    def expected(self) -> str:
        """Say which values are accepted."""
        if self.kind == "bool":
            return "true or false"
        if self.kind == "choice":
            return "one of " + ", ".join(map(repr, self.choices))
        what = "a whole number" if self.kind == "int" else "a number"
        inside = self.low <= float(self.default) <= self.high
        return f"{what} from {self.low:g} to {self.high:g}" + ("" if inside else f", or {self.default}")


def real(
    name: str, default: float, low: float, high: float, about: str, *, log: bool = False, searched: bool = True
) -> Parameter:
    """Return a parameter that is a number between `low` and `high`."""
    return Parameter(name, "float", default, low, high, log, (), searched, about)


def whole(
    name: str, default: int, low: int, high: int, about: str, *, log: bool = False, searched: bool = True
) -> Parameter:
    """Return a parameter that is a whole number between `low` and `high`."""
    return Parameter(name, "int", default, low, high, log, (), searched, about)


def one_of(name: str, default: Value, choices: Iterable[Value], about: str, *, searched: bool = True) -> Parameter:
    """Return a parameter that is one of `choices`."""
    return Parameter(name, "choice", default, choices=tuple(choices), searched=searched, about=about)


def flag(name: str, default: bool, about: str, *, searched: bool = True) -> Parameter:
    """Return a parameter that is on or off."""
    return Parameter(name, "bool", default, searched=searched, about=about)


def chosen_parameters(member: str, declared: Iterable[Parameter], given: Mapping[str, Value]) -> dict[str, Any]:
    """Return the value of every declared parameter: the given one, else the default.

    >>> chosen_parameters("trees", [whole("depth", 4, 1, 10, "levels of a tree")], {})
    {'depth': 4}

    Raises:
        InputError: a name is not among the declared (which are listed), or a value is not accepted.
    """
    known = {parameter.name: parameter for parameter in declared}
    for name, value in given.items():
        if name not in known:
            raise InputError(
                f"Member {member!r} has no parameter {name!r}; expected one of {', '.join(known) or 'none at all'}. "
                "Correct the name, or leave it out."
            )
        if not known[name].accepts(value):
            raise InputError(
                f"Parameter {name!r} of member {member!r} is {value!r}; expected {known[name].expected()}. Change it, "
                "or leave it out."
            )
    return {name: given.get(name, parameter.default) for name, parameter in known.items()}
