"""A second question to the same log: a run that shares another one's log, feature tables and Feast store."""

import os
from pathlib import Path

from feature_repo.errors import SourceDataError

__all__ = ["share_log"]

_SHARED = ("events", "users", "items", "quarantine", "snapshots", "features", "feast", "log.json", "data_card.json")


def share_log(source: Path, out: Path) -> None:
    """Link what the run in `source` knows into `out`; what `out` has of its own, such as a data set, stays.

    Raises:
        SourceDataError: `source` has no log, or `out` has one of its own.
    """
    if not (source / "log.json").is_file():
        raise SourceDataError(
            f"There is no log below {source}; expected a run. Run `intent ingest` and `intent apply`."
        )
    out.mkdir(parents=True, exist_ok=True)
    for name in _SHARED:
        link, target = out / name, source.resolve() / name
        if link.is_symlink():
            link.unlink()
        elif link.exists():
            raise SourceDataError(
                f"{out} has {name} of its own; expected a folder without a log. Name another one with --out."
            )
        if target.exists():
            link.symlink_to(os.path.relpath(target, out.resolve()))  # the two may be moved together
