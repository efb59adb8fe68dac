"""Score a bundle's stored examples and compare: what training computed is what this process must compute.

It is also part of the warm-up: the first requests after start would otherwise be the slow ones.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.errors import BundleError
from feature_repo.transforms.ragged import Ragged
from services.scoring import Scorer
from training.packaging.bundle import Bundle

__all__ = ["TOLERANCE", "check_golden", "examples", "some_rows", "warm_up"]

TOLERANCE = 1e-5
_WARM_UP_ROWS = 32
_TYPES: dict[str, Any] = {"text": object, "int64": np.int64, "float64": np.float64}


def check_golden(bundle: Bundle, scorer: Scorer) -> float:
    """Return the largest difference between a stored and a computed probability, at most `TOLERANCE`.

    Raises:
        BundleError: the stored examples are malformed or none, cannot be scored, or differ by more.
    """
    data = bundle.json("golden.json")
    try:
        columns, at_us = examples(bundle)
        expected = {"ensemble": data["probability"], **data["members"]}
        scores = scorer.score(columns, at_us)
        got = {"ensemble": scores.probability, **scores.members}
        difference = max(float(np.max(np.abs(np.asarray(expected[name]) - values))) for name, values in got.items())
    except Exception as error:  # the runtimes raise their own kinds, and a bundle must not stop the server
        raise BundleError(
            f"Golden examples cannot be scored ({type(error).__name__}): they or a member are not as the bundle says. "
            "Publish the bundle again with this release."
        ) from error
    if not difference <= TOLERANCE:  # also where it is NaN
        raise BundleError(
            f"Golden examples are not reproduced: got a difference of {difference:.2g}; expected at most {TOLERANCE}. "
            "Install the library versions of the bundle's manifest, or publish again with these."
        )
    return difference


def warm_up(bundle: Bundle, scorer: Scorer) -> None:
    """Score the stored examples one by one, as requests come: the first calls of a runtime are the slow ones."""
    columns, at_us = examples(bundle)
    for row in range(min(len(at_us), _WARM_UP_ROWS)):
        scorer.score(some_rows(columns, [row]), at_us[row : row + 1])


def examples(bundle: Bundle) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """Return the stored inputs: the views' columns, and t in microseconds since 1970."""
    data = bundle.json("golden.json")
    columns = {name: _column(column) for name, column in data["columns"].items()}
    return columns, np.asarray(data["at_us"], np.int64)


def some_rows(columns: Mapping[str, Any], rows: Sequence[int]) -> dict[str, Any]:
    """Return these rows of the columns, in this order."""
    index = np.asarray(rows, np.int64)
    return {name: c.take(index) if isinstance(c, Ragged) else c[index] for name, c in columns.items()}


def _column(column: Mapping[str, Any]) -> Any:
    dtype = _TYPES[column["type"]]
    values = np.array(column["values"], dtype) if column["values"] else np.empty(0, dtype)
    return Ragged(values, np.asarray(column["offsets"], np.int64)) if "offsets" in column else values
