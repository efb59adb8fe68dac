"""Whether figures are the same but for rounding: an ensemble that is one member should not be told apart from it."""

import math
from collections.abc import Mapping
from dataclasses import astuple, is_dataclass
from typing import Any

__all__ = ["ROUNDING", "alike"]

ROUNDING = 1e-6
"""Log-odds there and back change the last bit of a probability; what is more than a member moves a figure far more."""


def alike(one: Any, other: Any) -> bool:
    """Return whether two figures, or all figures in two tables, are at most `ROUNDING` apart.

    A figure is a number, or None or NaN where it is not defined; then it is like one that is not defined in the same
    way. Tables are mappings, lists and data classes of figures, to any depth; they have the same names and lengths.

    >>> alike({"ece": 0.1 + 0.2, "ci": [0.2, None]}, {"ece": 0.3, "ci": [0.2, None]})
    True
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if is_dataclass(one) and is_dataclass(other) and not isinstance(one, type) and not isinstance(other, type):
        return alike(astuple(one), astuple(other))
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(alike, one, other))
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=0.0, abs_tol=ROUNDING) or (math.isnan(one) and math.isnan(other))
