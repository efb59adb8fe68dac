"""A DuckDB connection whose memory, threads and spill are bounded, and which leaves nothing behind."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from intent_stores.errors import ConfigurationError, OutOfResourcesError, QueryError
from intent_stores.sql_text import text

# DuckDB says "INSTALL httpfs" where a path needs a file system that is not there.
_EXTENSION = re.compile(r"INSTALL (\w+)")


@dataclass(frozen=True)
class SessionLimits:
    """What a join may use.

    Attributes:
        memory_limit: as DuckDB writes it ("4GB"); None leaves DuckDB's default of 80 % of the machine.
        temp_directory: where to spill; a folder of its own is made in it for each call and removed after.
        max_temp_directory_size: the most that may be spilled ("20GB").
        threads: how many threads may work; None means all cores.
        search_path: folder against which relative paths in an SQL entity query are resolved.
    """

    memory_limit: str | None = None
    temp_directory: str | None = None
    max_temp_directory_size: str = "20GB"
    threads: int | None = None
    search_path: str | None = None


@contextmanager
def duckdb_session(limits: SessionLimits) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a private in-memory DuckDB, in UTC, and close it and remove its spill files at the end.

    Raises:
        ConfigurationError: a limit is not one that DuckDB understands, the spill folder cannot be made, or a path
            needs an extension of DuckDB that is not installed.
        OutOfResourcesError: the work inside ran out of memory or of spill space.
        QueryError: DuckDB gave up on the work inside for another reason.
    """
    spill = _spill_folder(limits.temp_directory)
    try:
        connection = _connect(limits, spill)
        try:
            yield connection
        finally:
            connection.close()
    except duckdb.Error as error:
        if isinstance(error, duckdb.OutOfMemoryException) or _is_disk_full(error):
            raise OutOfResourcesError(_resources_message(limits, error)) from error
        if _EXTENSION.search(str(error)):
            raise ConfigurationError(_extension_message(error)) from error
        raise QueryError(
            f"DuckDB could not answer: {error}. No result is given; expected complete Parquet files whose columns "
            "agree from file to file. Check the file or column that the message names."
        ) from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def memory_limit(connection: duckdb.DuckDBPyConnection) -> int:
    """Return in bytes what a session may use before it spills."""
    return size_in_bytes(connection.execute("SELECT current_setting('memory_limit')").fetchall()[0][0])


def thread_count(connection: duckdb.DuckDBPyConnection) -> int:
    """Return how many threads a session may use."""
    return int(connection.execute("SELECT current_setting('threads')").fetchall()[0][0])


def size_in_bytes(shown: str) -> int:
    """Return the bytes of a size as DuckDB shows it, such as "3.7 GiB"."""
    number, unit = shown.split()
    powers = {"byte": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40, "PiB": 50}
    return int(float(number) * 2 ** powers[unit.rstrip("s")])


def _spill_folder(parent: str | None) -> Path:
    try:
        if parent is not None:
            Path(parent).mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="asof-spill-", dir=parent))
    except OSError as error:
        raise ConfigurationError(
            f"The spill folder could not be made: temp_directory is {parent!r} ({error}); "
            "expected a folder that can be written. Name another one in feature_store.yaml, offline_store."
        ) from error


def _connect(limits: SessionLimits, spill: Path) -> duckdb.DuckDBPyConnection:
    settings: dict[str, str | int] = {"temp_directory": str(spill)}
    if limits.memory_limit is not None:
        settings["memory_limit"] = limits.memory_limit
    if limits.threads is not None:
        settings["threads"] = limits.threads
    spill_cap = {"max_temp_directory_size": limits.max_temp_directory_size}
    try:
        connection = duckdb.connect(":memory:", config=settings)
        # DuckDB shows a cap that is given with the others, but does not heed it.
        connection.execute(f"SET max_temp_directory_size = {text(limits.max_temp_directory_size)}")
    except duckdb.Error as error:
        raise ConfigurationError(
            f"DuckDB refused the settings {settings | spill_cap}: {error}. Sizes are written like '4GB', threads as a "
            "positive number. Correct them in feature_store.yaml, offline_store."
        ) from error
    # Code is not downloaded in the middle of a join; what an administrator installed is loaded where a path needs it.
    connection.execute("SET autoinstall_known_extensions = false")
    # Naive and zoned timestamps must mean the same instant on every machine.
    connection.execute("SET TimeZone = 'UTC'")
    # An unknown table name in an entity query is an error, not a Python variable that happens to be called so.
    connection.execute("SET python_enable_replacements = false")
    if limits.search_path is not None:
        connection.execute(f"SET file_search_path = {text(limits.search_path)}")
    return connection


def _is_disk_full(error: duckdb.Error) -> bool:
    message = str(error).lower()
    return "no space left" in message or "max_temp_directory_size" in message or "failed to offload" in message


def _extension_message(error: duckdb.Error) -> str:
    name = _EXTENSION.findall(str(error))[0]
    return (
        f"A path needs DuckDB's extension {name!r}, which is not installed for DuckDB {duckdb.__version__}; expected "
        "it there, since nothing is downloaded during a join. Where there is a network, run once: "
        f"""python -c "import duckdb; duckdb.execute('INSTALL {name}')". Or copy the files and name a local path."""
    )


def _resources_message(limits: SessionLimits, error: duckdb.Error) -> str:
    first_line = str(error).splitlines()[0]
    return (
        f"The join ran out of room: {first_line}. It was allowed memory_limit={limits.memory_limit or 'default'} and "
        f"max_temp_directory_size={limits.max_temp_directory_size} in {limits.temp_directory or 'the default folder'}. "
        "Raise them in feature_store.yaml, offline_store, or ask for fewer rows or features at a time."
    )
