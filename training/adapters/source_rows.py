"""A file with rows, whichever kind it is: CSV (also in a zip) or Parquet, told apart by the end of its name."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from feature_repo.errors import SettingsError, SourceDataError
from training.adapters.canonical_rows import require_columns
from training.adapters.contract import Source
from training.adapters.csv_rows import SourceRows, csv_columns, read_csv
from training.adapters.parquet_rows import PARQUET_SUFFIXES, parquet_schema, read_parquet

__all__ = ["headerless_rows", "is_parquet", "named_file", "source_columns", "source_rows", "within_folder"]

CSV_SUFFIXES = (".csv", ".txt", ".dat", ".zip", ".gz")


def is_parquet(file: Path) -> bool:
    """Return whether the name says that it is Parquet."""
    return file.suffix.lower() in PARQUET_SUFFIXES


def source_columns(file: Path) -> list[str]:
    """Return the column names of a CSV file with a header, or of a Parquet file.

    Raises:
        SourceDataError: the file is missing, empty, damaged, or names a column twice.
    """
    return list(parquet_schema(file).names) if is_parquet(file) else csv_columns(file)


def source_rows(file: Path, names: Sequence[str] | None = None) -> Iterator[SourceRows]:
    """Yield the rows of a file; `names` are the columns of a CSV file without a header.

    Raises:
        SourceDataError: the file is missing, empty or damaged.
    """
    return read_parquet(file) if is_parquet(file) else read_csv(file, names)


def named_file(adapter: str, path: Path | None, suffixes: Sequence[str] = CSV_SUFFIXES + PARQUET_SUFFIXES) -> Source:
    """Return the file that the user named.

    Raises:
        SettingsError: none is named.
        SourceDataError: it is missing or of another kind.
    """
    if path is None:
        raise SettingsError(
            f"No file is named: got no path; expected a file with {', '.join(suffixes)}. Set [data] path, or name it: "
            f"`intent ingest --adapter {adapter} PATH`."
        )
    if not path.is_file():
        raise SourceDataError(f"There is no file {path}; expected a file of the adapter {adapter}. Check the path.")
    if path.suffix.lower() not in suffixes:
        raise SourceDataError(
            f"{path.name} is of an unknown kind; expected a name that ends in {', '.join(suffixes)}. "
            "Rename or convert the file."
        )
    return Source(path.name, (path,))


def within_folder(path: Path, *names: str) -> Path | None:
    """Return the first of these files that lies in the folder `path`, or beside the file `path`."""
    folder = path if path.is_dir() else path.parent
    return next((folder / name for name in names if (folder / name).is_file()), None)


def headerless_rows(file: Path, names: Sequence[str]) -> Iterator[SourceRows]:
    """Yield the rows of a CSV file without a header, or of a Parquet file that has columns of these names.

    Raises:
        SourceDataError: the file is missing, empty or damaged, or a Parquet file lacks a column.
    """
    if is_parquet(file):
        require_columns(file.name, source_columns(file), {name: name for name in names})
    return source_rows(file, names)
