from pathlib import Path

import duckdb
import pytest

from intent_stores.duckdb_session import SessionLimits, duckdb_session, size_in_bytes
from intent_stores.errors import QueryError


def test_a_session_is_in_utc_and_within_its_limits(tmp_path: Path) -> None:
    limits = SessionLimits(memory_limit="200MB", temp_directory=str(tmp_path), max_temp_directory_size="1GB", threads=1)
    with duckdb_session(limits) as connection:
        assert connection.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
        assert connection.execute("SELECT current_setting('threads')").fetchall() == [(1,)]
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_spill_folder_goes_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(KeyError), duckdb_session(SessionLimits(temp_directory=str(tmp_path))):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_sessions_share_nothing() -> None:
    with duckdb_session(SessionLimits()) as first, duckdb_session(SessionLimits()) as second:
        first.execute("CREATE TABLE t AS SELECT 1 AS x")
        with pytest.raises(duckdb.CatalogException):
            second.execute("FROM t")


def test_an_error_of_duckdb_becomes_one_of_ours() -> None:
    with pytest.raises(QueryError, match="No result is given"), duckdb_session(SessionLimits()) as connection:
        connection.execute("SELECT CAST('x' AS INT)").fetchall()


@pytest.mark.parametrize(
    ("shown", "size"), [("1.0 GiB", 2**30), ("512 bytes", 512), ("19.0 MiB", 19 * 2**20), ("1.5 KiB", 1536)]
)
def test_sizes_as_duckdb_shows_them(shown: str, size: int) -> None:
    assert size_in_bytes(shown) == size
