"""Score a bundle's stored examples and compare: what training computed is what this process must compute.

It is also the warm-up: the first requests after start would otherwise be the slow ones.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from feature_repo.errors import BundleError
from feature_repo.transforms.ragged import Ragged
from services.scoring import Scorer
from training.packaging.bundle import Bundle

__all__ = ["TOLERANCE", "check_golden"]

TOLERANCE = 1e-5
_TYPES: dict[str, Any] = {"text": object, "int64": np.int64, "float64": np.float64}


def check_golden(bundle: Bundle, scorer: Scorer) -> float:
    """Return the largest difference between a stored and a computed probability, at most `TOLERANCE`.

    Raises:
        BundleError: the stored examples are malformed or none, cannot be scored, or differ by more.
    """
    data = bundle.json("golden.json")
    try:
        columns = {name: _column(column) for name, column in data["columns"].items()}
        expected = {"ensemble": data["probability"], **data["members"]}
        scores = scorer.score(columns, np.asarray(data["at_us"], np.int64))
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


def _column(column: Mapping[str, Any]) -> Any:
    dtype = _TYPES[column["type"]]
    values = np.array(column["values"], dtype) if column["values"] else np.empty(0, dtype)
    return Ragged(values, np.asarray(column["offsets"], np.int64)) if "offsets" in column else values
