import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from feature_repo.errors import DependencyDown
from feature_repo.transforms.ragged import Ragged
from services.feast_lookup import FeastSqliteLookup
from services.feature_lookup import NEVER, InMemoryLookup, read_view_schemas
from services.online_url import OnlineUrl, read_online_url
from tests.online_store import write_online_store
from tests.tiny_shop import FEATURES, shop

SCHEMAS = read_view_schemas(FEATURES)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> OnlineUrl:
    return read_online_url(write_online_store(tmp_path_factory.mktemp("online") / "online.db"))


def test_the_store_gives_what_the_fake_gives(url: OnlineUrl) -> None:
    users = [f"{number:08d}" for number in (3, 99, 1, 3, 12, 6)]
    got = FeastSqliteLookup(url, SCHEMAS).lookup(users)
    expected = InMemoryLookup(SCHEMAS, shop()).lookup(users)
    assert got.keys() == expected.keys()
    for view, rows in expected.items():
        assert np.array_equal(got[view].event_us, rows.event_us)
        for field, column in rows.columns.items():
            same = got[view].columns[field]
            if isinstance(column, Ragged):
                assert same.offsets.tolist() == column.offsets.tolist()
                column, same = column.values, same.values
            assert same.dtype == column.dtype
            np.testing.assert_array_equal(same, column)
    assert got["user_profile"].event_us[1] == NEVER


def test_more_customers_than_one_statement_takes(url: OnlineUrl) -> None:
    users = [f"{number % 40:08d}" for number in range(1234)]
    rows = FeastSqliteLookup(url, SCHEMAS).lookup(users)["user_history"]
    assert (rows.event_us != NEVER).tolist() == [1 <= number % 40 <= 12 for number in range(1234)]


def test_several_threads_read_at_once(url: OnlineUrl) -> None:
    lookup = FeastSqliteLookup(url, SCHEMAS)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: lookup.lookup(["00000003"])["user_history"].event_us[0], range(40)))
    assert len(set(found)) == 1


def test_a_whole_store_is_no_trouble(url: OnlineUrl) -> None:
    assert FeastSqliteLookup(url, SCHEMAS).trouble() is None


def test_a_missing_file_is_told_and_not_created(tmp_path: Path) -> None:
    lookup = FeastSqliteLookup(OnlineUrl(tmp_path / "none" / "online.db", "tiny"), SCHEMAS)
    assert "names no file" in str(lookup.trouble())
    with pytest.raises(DependencyDown, match="cannot be read"):
        lookup.lookup(["00000001"])
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to look for a header" * 20])
def test_a_file_that_is_no_store_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "online.db").write_bytes(content)
    lookup = FeastSqliteLookup(OnlineUrl(tmp_path / "online.db", "tiny"), SCHEMAS)
    assert "intent materialize" in str(lookup.trouble())
    with pytest.raises(DependencyDown):
        lookup.lookup(["00000001"])
    assert (tmp_path / "online.db").read_bytes() == content


def test_a_missing_view_is_named(url: OnlineUrl) -> None:
    assert "user_baskets" in str(FeastSqliteLookup(replace(url, project="other"), SCHEMAS).trouble())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_told(url: OnlineUrl, tmp_path: Path) -> None:
    path = Path(shutil.copy(url.path, tmp_path))
    path.chmod(0)
    assert "cannot be read" in str(FeastSqliteLookup(replace(url, path=path), SCHEMAS).trouble())


def test_a_replaced_file_is_read_afresh(url: OnlineUrl, tmp_path: Path) -> None:
    path = tmp_path / "online.db"
    write_online_store(path, customers=1)
    lookup = FeastSqliteLookup(replace(url, path=path), SCHEMAS)
    assert lookup.lookup(["00000002"])["user_history"].event_us[0] == NEVER
    write_online_store(tmp_path / "next.db", customers=2)
    (tmp_path / "next.db").rename(path)
    assert lookup.lookup(["00000002"])["user_history"].event_us[0] != NEVER
