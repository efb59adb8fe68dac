"""CSV as a stream of rows: every cell as text, each row with its number, rows that do not fit set apart."""

import gzip
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from feature_repo.errors import SourceDataError
from training.adapters.contract import Problem, UnreadableRow
from training.adapters.utf8_stream import MARK, marked, shown, without_marks

__all__ = ["SourceRows", "csv_columns", "read_csv", "refuse_twins"]

PACKED = (".zip", ".gz")
BLOCK_BYTES = 1 << 20  # parsed at once, which takes about forty times as much memory; a row must fit
CHUNK_BYTES = 4 << 20  # yielded at once, about 70,000 rows of Ta Feng: the cost per chunk is small


@dataclass(frozen=True)
class SourceRows:
    """Rows as a source has them; `source_row` is int64[n], 1 for the first data row."""

    table: pa.Table
    source_row: npt.NDArray[np.int64]
    problems: tuple[Problem, ...] = ()
    unreadable: tuple[UnreadableRow, ...] = ()


def csv_columns(path: Path) -> list[str]:
    """Return the column names in the header of a CSV file, or of the one CSV file in a zip.

    Raises:
        SourceDataError: the file is missing, empty, damaged, not UTF-8, or names a column twice.
    """
    reading = pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES)
    with _opened(path) as handle, _explained(path, handle):
        names = list(pyarrow.csv.open_csv(handle, reading, _parsing([])).schema.names)
    if any(MARK in name for name in names):
        raise SourceDataError(
            f"The header of {path.name} is not UTF-8; expected UTF-8 text with commas. Export the file as UTF-8."
        )
    refuse_twins(path, names)
    return names


def refuse_twins(path: Path, names: list[str]) -> None:
    """Refuse a file that has several columns of one name.

    Raises:
        SourceDataError: with the names.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceDataError(
            f"{path.name} has several columns of one name: got {', '.join(twice)} more than once; expected each name "
            "once. Rename them in the file."
        )


def read_csv(path: Path, names: Sequence[str] | None = None) -> Iterator[SourceRows]:
    """Yield the rows of a CSV file, or of the one CSV file in a zip, as text; an empty cell is null.

    `names` are the columns of a file without a header.

    The file is UTF-8, with or without a byte order mark; a quoted cell may hold line breaks. A row with another
    number of cells than the header is set apart as `wrong_column_count`; one with bytes that are not UTF-8 has the
    problem `not_utf8`. Blank lines are no rows.

    Raises:
        SourceDataError: the file is missing, empty, damaged, or its header cannot be read.
    """
    header = 0 if names else 1
    names = list(names or csv_columns(path))
    bad: list[Any] = []
    converting = pyarrow.csv.ConvertOptions(
        column_types={name: pa.string() for name in names}, strings_can_be_null=True, null_values=[""]
    )
    # Threads would parse ahead, and rows that do not fit would come without their number.
    reading = pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=None if header else names)
    with _opened(path) as handle, _explained(path, handle):
        reader = pyarrow.csv.open_csv(handle, reading, _parsing(bad), converting)
        good = told = 0
        for table in _joined(reader):
            yield _numbered(table, good, bad, told, header)
            good, told = good + table.num_rows, len(bad)
        if len(bad) > told:
            yield _numbered(reader.schema.empty_table(), good, bad, told, header)


def _joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if len(waiting) >= CHUNK_BYTES // BLOCK_BYTES:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _numbered(table: pa.Table, good: int, bad: list[Any], told: int, header: int) -> SourceRows:
    # Row numbers in `bad` count the header, so number - header is the data row, and one less for each bad row before
    # it is how many good rows precede it.
    good_before = np.array([row.number - header - 1 - k for k, row in enumerate(bad)], dtype=np.int64)
    position = good + np.arange(table.num_rows, dtype=np.int64)
    source_row = position + 1 + np.searchsorted(good_before, position, side="right")
    text, problems = _as_text(table)
    return SourceRows(text, source_row, problems, tuple(_unreadable(row, header) for row in bad[told:]))


def _unreadable(row: Any, header: int) -> UnreadableRow:
    detail = f"{row.actual_columns} cells instead of {row.expected_columns}"
    return UnreadableRow(row.number - header, "wrong_column_count", detail, {"line": shown(row.text)})


def _as_text(table: pa.Table) -> tuple[pa.Table, tuple[Problem, ...]]:
    columns, problems = [], []
    for name in table.column_names:
        text, broken = without_marks(table[name].combine_chunks())
        columns.append(text)
        if broken.any():
            problems.append(Problem("not_utf8", f"column {name}", broken))
    return pa.table(columns, names=table.column_names), tuple(problems)


def _parsing(bad: list[Any]) -> pyarrow.csv.ParseOptions:
    def set_apart(row: Any) -> str:
        bad.append(row)
        return "skip"

    return pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=set_apart)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if not path.is_file():
        raise SourceDataError(f"There is no file {path}; expected a CSV file or a zip that holds one. Check the path.")
    kind = path.suffix.lower()
    if kind not in PACKED:
        with path.open("rb") as handle:
            yield marked(handle)
        return
    try:
        if kind == ".gz":
            with gzip.open(path) as handle:
                yield marked(cast("IO[bytes]", handle))
            return
        with zipfile.ZipFile(path) as archive, archive.open(_only_csv(archive, path)) as handle:
            yield marked(handle)
    except (zipfile.BadZipFile, EOFError, OSError, zlib.error) as problem:
        raise SourceDataError(
            f"{path.name} is not a whole {kind[1:]} file ({problem}); it is cut off or damaged. Copy it again."
        ) from problem


def _only_csv(archive: zipfile.ZipFile, path: Path) -> str:
    names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
    if len(names) != 1:
        raise SourceDataError(
            f"{path.name} holds {len(names)} CSV files; expected exactly one. Unpack it and name the file itself."
        )
    return names[0]


@contextmanager
def _explained(path: Path, handle: IO[bytes]) -> Iterator[None]:
    """Say what is wrong without the parser's own words: they may quote a row, and so a customer."""
    try:
        yield
    except pa.ArrowInvalid as problem:
        if path.suffix.lower() in PACKED:  # damage makes nonsense of the rows before it is found at the end
            while handle.read(BLOCK_BYTES):
                pass
        if "Empty CSV" in str(problem):
            raise SourceDataError(
                f"{path.name} is empty; expected a header and at least one row. Check that the export ended."
            ) from None
        raise SourceDataError(
            f"{path.name} cannot be read as CSV: got a row longer than {BLOCK_BYTES:,} bytes, as after a quotation "
            "mark that is never closed; expected a header, and cells apart by commas. Export the file again."
        ) from None
