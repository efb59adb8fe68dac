import os
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from feature_repo.errors import DependencyDown
from services.online_url import RedisUrl, SqliteUrl, read_online_url
from services.packed_lookup import PackedLookup, open_lookup
from tests.online_store import VIEWS, write_online_store
from tests.tiny_shop import AT_US, shop


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> SqliteUrl:
    found = read_online_url(write_online_store(tmp_path_factory.mktemp("online") / "online.db"))
    assert isinstance(found, SqliteUrl)
    return found


def statuses(lookup: PackedLookup, *users: str) -> list[str]:
    return lookup.lookup({"user_id": users}, AT_US)["user_history"].status.tolist()


def test_the_file_gives_what_the_shop_holds(url: SqliteUrl) -> None:
    users = [f"{number:08d}" for number in (3, 99, 1, 3, 12, 6)]
    got = open_lookup(url, VIEWS).lookup({"user_id": users}, AT_US)
    held = shop()
    for place, user in enumerate(users):
        for view, rows in got.items():
            event_us, values = held[view].get(user, (None, {}))
            assert rows.status[place] == ("missing" if event_us is None else "fresh")
            assert event_us is None or rows.age_seconds[place] == (AT_US - event_us) / 1e6
            for field, column in rows.columns.items():
                if hasattr(column, "offsets"):
                    cells = column.values[column.offsets[place] : column.offsets[place + 1]]
                    assert cells.tolist() == list(values.get(field) or [])
                elif values.get(field) is None:
                    assert column[place] is None or np.isnan(column[place])
                else:
                    assert column[place] == values[field]


def test_more_customers_than_one_statement_takes(url: SqliteUrl) -> None:
    users = [f"{number % 40:08d}" for number in range(1234)]
    found = statuses(open_lookup(url, VIEWS), *users)
    assert found == ["fresh" if 1 <= number % 40 <= 12 else "missing" for number in range(1234)]


def test_several_threads_read_at_once(url: SqliteUrl) -> None:
    lookup = open_lookup(url, VIEWS)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: statuses(lookup, "00000003")[0], range(40))) == {"fresh"}


def test_a_whole_store_is_no_trouble(url: SqliteUrl) -> None:
    assert open_lookup(url, VIEWS).trouble() is None


def test_a_missing_file_is_told_and_not_created(tmp_path: Path) -> None:
    lookup = open_lookup(SqliteUrl(tmp_path / "none" / "online.db", "tiny"), VIEWS)
    assert "no file at" in str(lookup.trouble())
    assert statuses(lookup, "00000001") == ["missing"]
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to look for a header" * 20])
def test_a_file_that_is_no_store_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "online.db").write_bytes(content)
    lookup = open_lookup(SqliteUrl(tmp_path / "online.db", "tiny"), VIEWS)
    assert "intent materialize" in str(lookup.trouble())
    assert statuses(lookup, "00000001") == ["missing"]
    assert (tmp_path / "online.db").read_bytes() == content


def test_a_missing_view_is_named(url: SqliteUrl) -> None:
    assert "user_baskets" in str(open_lookup(replace(url, project="other"), VIEWS).trouble())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_told(url: SqliteUrl, tmp_path: Path) -> None:
    path = Path(shutil.copy(url.path, tmp_path))
    path.chmod(0)
    assert "cannot be read" in str(open_lookup(replace(url, path=path), VIEWS).trouble())


def test_a_file_that_answers_and_whose_rows_are_damaged_is_told(url: SqliteUrl, tmp_path: Path) -> None:
    path = tmp_path / "online.db"
    with closing(sqlite3.connect(url.path)) as whole:
        whole.execute("VACUUM INTO ?", [str(path)])
    lookup = open_lookup(replace(url, path=path), VIEWS)
    assert lookup.trouble() is None
    lookup.close()
    pages = bytearray(path.read_bytes())
    pages[4096:] = b"\xff" * (len(pages) - 4096)  # all but the list of tables
    path.write_bytes(pages)
    lookup = open_lookup(replace(url, path=path), VIEWS)
    assert statuses(lookup, "00000003") == ["missing"]
    assert "malformed" in str(lookup.trouble())


def test_a_replaced_file_is_read_afresh(url: SqliteUrl, tmp_path: Path) -> None:
    path = tmp_path / "online.db"
    write_online_store(path, customers=1)
    lookup = open_lookup(replace(url, path=path), VIEWS)
    assert statuses(lookup, "00000002") == ["missing"]
    write_online_store(tmp_path / "next.db", customers=2)
    (tmp_path / "next.db").rename(path)
    assert statuses(lookup, "00000002") == ["fresh"]


def test_an_address_that_redis_does_not_understand_is_refused_without_repeating_it() -> None:
    url = RedisUrl("redis://me:secret@host/0?socket_timeout=soon", "tiny")
    with pytest.raises(DependencyDown, match="cannot be used") as caught:
        open_lookup(url, VIEWS)
    assert "secret" not in str(caught.value)
