"""The folder of a data set: whole parts or none, a mark of what they were made from, a manifest at last."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.errors import InputError, SourceDataError
from training.atomic import write_json, write_parquet
from training.dataset.anchor_file import WHOLE
from training.dataset.time_splits import SPLITS
from training.folder_lock import folder_lock

__all__ = ["DatasetFolder", "item_ids", "read_split", "read_test_labels"]

MARK = "building.json"
MANIFEST = "manifest.json"
TEST_LABELS = "test_labels"
_PARTS = (*SPLITS, WHOLE, TEST_LABELS)
_FILES = (MARK, MANIFEST, "features.json")
_LABEL_COLUMNS = ("user_id", "item_id", "event_timestamp", "label")


class DatasetFolder:
    """A data set while it is built.

    A part is in its place whole or not at all: it appears by a rename. The mark says from what the parts were made;
    parts of anything else are removed before it is written. The manifest comes last: without it nobody reads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other builds out of the folder; the lock of a killed build is gone with it.

        Raises:
            InputError: another build is at work, or the folder holds something else than a data set.
        """
        created = not self.path.exists()
        self.path.mkdir(parents=True, exist_ok=True)
        taken = InputError(
            f"Another build is writing {self.path}; expected to be alone. Wait for it, or choose another folder."
        )
        try:
            with folder_lock(self.path, taken):
                self._refuse_strangers()
                yield
        finally:
            if created:
                with suppress(OSError):  # something was written: it stays
                    self.path.rmdir()

    def begin(self, facts: dict[str, Any]) -> None:
        """Keep the parts of an interrupted build from the same `facts`; remove everything else."""
        (self.path / MANIFEST).unlink(missing_ok=True)
        mark = self.path / MARK
        if not mark.exists() or _mark_of(mark) != facts:
            for name in _PARTS:
                shutil.rmtree(self.path / name, ignore_errors=True)
            (self.path / "features.json").unlink(missing_ok=True)
            write_json(mark, facts)  # last: a build that is killed while it clears goes on clearing
        for left in [*self.path.glob(".*"), *self.path.glob("*/.*")]:
            if left.is_file():
                left.unlink()  # half written when a build was killed

    def has(self, split: str, name: str, rows: int) -> bool:
        """Whether the part is there, with its labels, and whole."""
        folders = (split, TEST_LABELS) if split == "test" and self._test_is_labelled() else (split,)
        return all(_rows(self.path / folder / f"{name}.parquet") == rows for folder in folders)

    def write(self, split: str, name: str, part: pa.Table) -> None:
        """Write a part; the labels of the test period go apart, and go first."""
        target = self.path / split / f"{name}.parquet"
        if split == "test" and "label" in part.column_names:
            labels = part.select([column for column in _LABEL_COLUMNS if column in part.column_names])
            if _rows(self.path / TEST_LABELS / target.name) != labels.num_rows:  # else written before a kill
                write_parquet(self.path / TEST_LABELS / target.name, labels)
            part = part.drop_columns(["label"])
        write_parquet(target, part)

    def require_parts(self, parts: dict[tuple[str, str], int]) -> None:
        """Refuse a folder in which a part is missing, has other rows, or is one too many.

        Raises:
            SourceDataError: somebody else changed the folder meanwhile.
        """
        there = {(path.parent.name, path.stem) for path in self.path.glob("*/*.parquet")}
        expected = set(parts) | {
            (TEST_LABELS, name) for split, name in parts if split == "test" and self._test_is_labelled()
        }
        wrong = sorted(there ^ expected) or [part for part, rows in parts.items() if not self.has(*part, rows)]
        if wrong:
            raise SourceDataError(
                f"Parts {wrong[:5]} of {self.path} are missing, incomplete or too many; expected only what this build "
                "wrote. Run it again, and let nothing else write there."
            )

    def of_split(self, split: str) -> list[Path]:
        """The split's parts, in order."""
        return sorted((self.path / split).glob("*.parquet"))

    def null_rates(self, split: str) -> dict[str, float]:
        """Share of nulls (for lists: of empty lists) by column of a split."""
        parts = self.of_split(split)
        kinds = {field.name: field.type for field in pq.read_schema(parts[0])}
        shares = ", ".join(f"avg(({_is_empty(name, kind)})::INT)" for name, kind in kinds.items())
        with duckdb.connect() as connection:
            query = f"SELECT {shares} FROM read_parquet(?)"
            (row,) = connection.execute(query, [[str(part) for part in parts]]).fetchall()
        return {name: round(float(share), 4) for name, share in zip(kinds, row, strict=True)}

    def finish(self, features: dict[str, Any], manifest: dict[str, Any]) -> None:
        """Write the schema of the features and, last of all, the manifest."""
        write_json(self.path / "features.json", features)
        write_json(self.path / MANIFEST, manifest)

    def _test_is_labelled(self) -> bool:
        mark = self.path / MARK
        return bool(mark.exists() and _mark_of(mark).get("labelled"))

    def _refuse_strangers(self) -> None:
        names = {path.name for path in self.path.iterdir()}
        ours = {
            name for name in names if name in (*_PARTS, *_FILES) or name.startswith(tuple(f".{f}." for f in _FILES))
        }
        if names - ours or (ours & set(_PARTS) and not ours & {MARK, MANIFEST}):
            raise InputError(
                f"{self.path} holds {sorted(names)[:5]}, which no build of a data set wrote; expected an empty folder "
                "or a data set. Nothing was changed. Choose another folder."
            )


def read_split(out: Path, split: str) -> pa.Table:
    """Return the whole split as one table, in order of time and customer; test comes without its labels.

    Raises:
        SourceDataError: the data set was not built, or not to its end, or has no such split.
    """
    folder = out / "dataset"
    if not (folder / MANIFEST).exists():
        raise SourceDataError(f"No data set below {folder}; expected a manifest.json. Run `intent dataset`.")
    return _all_parts(folder / split)


def item_ids(out: Path, split: str) -> pa.ChunkedArray | None:
    """Return each anchor's item, text, in the order of the split; None where the anchors are of customers alone."""
    parts = sorted((out / "dataset" / split).glob("*.parquet"))
    if not parts or "item_id" not in pq.read_schema(parts[0]).names:
        return None
    return pa.concat_tables([pq.read_table(part, columns=["item_id"]) for part in parts])["item_id"].cast(pa.string())


def read_test_labels(out: Path) -> pa.Table:
    """Open the labels of the test period, in the order of its split: the keys, `event_timestamp`, `label`.

    Raises:
        SourceDataError: there are none.
    """
    return _all_parts(out / "dataset" / TEST_LABELS)


def _all_parts(folder: Path) -> pa.Table:
    parts = sorted(folder.glob("*.parquet"))
    if not parts:
        raise SourceDataError(
            f"No part below {folder}; expected at least one. Build the data set with anchors in that split, and with "
            "labels: run `intent dataset`."
        )
    return pa.concat_tables([pq.read_table(part) for part in parts])


def _mark_of(path: Path) -> dict[str, Any]:
    try:
        mark: dict[str, Any] = json.loads(path.read_text())
    except ValueError:
        return {}
    return mark


def _rows(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (FileNotFoundError, pa.ArrowException):
        return -1


def _is_empty(name: str, kind: Any) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    return (
        f"coalesce(len({quoted}), 0) = 0"
        if pa.types.is_list(kind) or pa.types.is_large_list(kind)
        else f"{quoted} IS NULL"
    )
