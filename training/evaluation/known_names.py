"""Names that a person may ask for: metrics and members, with the known ones in the message for any other."""

from collections.abc import Iterable, Sequence

from feature_repo.errors import InputError
from training.evaluation.decisions import FURTHER
from training.evaluation.metrics import METRICS

__all__ = ["ALL_METRICS", "require_members", "require_metrics"]

ALL_METRICS = (*METRICS, *FURTHER)
"""Every metric of an evaluation, in the order in which they are reported."""


def require_metrics(names: Sequence[str]) -> tuple[str, ...]:
    """Return `names`, or those that are printed unless told otherwise if there are none.

    Raises:
        InputError: one is not a metric; the known ones are listed.
    """
    return _require("Metric", names, ALL_METRICS) or METRICS


def require_members(names: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    """Return `names`, or all that are `known` if there are none.

    Raises:
        InputError: one was not evaluated; those that were are listed.
    """
    found = tuple(known)
    return _require("Member", names, found) or found


def _require(what: str, names: Sequence[str], known: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"{what} {unknown[0]!r} is not known here; expected one of {', '.join(known)}. Correct the name."
        )
    return tuple(names)
